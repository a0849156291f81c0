/* The file driver under the HDF5 library, which buys three things that the library's own lacks.
 *
 * - Writing that fails (a full disk) is remembered here and the library is told that all is well:
 *   HDF5 1.10 corrupts its memory when a write fails while a file is being closed. The writer looks
 *   at io->status before it commits.
 * - Written files go through tdm__atomic, like all files that matter.
 * - Where a chunk lies can be asked without reading it: with `capture` set, a read of raw data only
 *   notes its place. H5Dget_chunk_info* walks all chunks for each answer: 36 s for 60,000 chunks.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "format/hdf5_private.h"
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

typedef struct driven {
    H5FD_t head; /* the library's; first */
    tdm__h5_io *io;
    haddr_t end_allocated, end_file;
} driven;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t most)
{
    (void)name, (void)flags, (void)most;
    tdm__h5_io *const *io = H5Pget_driver_info(access);
    driven *d = io ? calloc(1, sizeof *d) : NULL;
    if (!d) return NULL;
    d->io = *io;
    d->end_file = d->io->size;
    return &d->head;
}

static herr_t driver_close(H5FD_t *file)
{
    free(file);
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driven *)file)->end_allocated;
}

static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t end)
{
    (void)type;
    ((driven *)file)->end_allocated = end;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driven *)file)->end_file;
}

/* Metadata past the end reads as zeros, as the library's own driver has it; data past the end does
 * not exist. */
static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t n,
                          void *out)
{
    (void)transfer;
    tdm__h5_io *io = ((driven *)file)->io;
    uint8_t *p = out;
    if (io->capture && type == H5FD_MEM_DRAW) {
        io->captured++;
        io->captured_at = at;
        io->captured_size = n;
        return 0;
    }
    if (at > INT64_MAX) return -1;
    if (io->target && fflush(io->target->file)) io->status = TDM_ERR_IO;
    while (n) {
        ssize_t got = pread(io->fd, p, n, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 || (got == 0 && type == H5FD_MEM_DRAW && !io->target)) return -1;
        if (got == 0) {
            memset(p, 0, n);
            return 0;
        }
        p += got;
        at += (haddr_t)got;
        n -= (size_t)got;
    }
    return 0;
}

static void fail_write(tdm__h5_io *io)
{
    if (!io->status)
        io->status = tdm__fail_errno(TDM_ERR_IO, "%s: cannot be written", io->target->path);
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t at, size_t n,
                           const void *bytes)
{
    (void)type, (void)transfer;
    driven *d = (driven *)file;
    tdm__h5_io *io = d->io;
    if (!io->target) return -1;
    if (!io->status && fseeko(io->target->file, (off_t)at, SEEK_SET)) fail_write(io);
    if (!io->status) io->status = tdm__atomic_write(io->target, bytes, n);
    if (at + n > d->end_file) d->end_file = at + n;
    return 0;
}

static herr_t driver_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
    (void)transfer, (void)closing;
    driven *d = (driven *)file;
    tdm__h5_io *io = d->io;
    if (!io->target || d->end_file == d->end_allocated) return 0;
    if (!io->status &&
        (fflush(io->target->file) || ftruncate(fileno(io->target->file), (off_t)d->end_allocated)))
        fail_write(io);
    d->end_file = d->end_allocated;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = 513, /* from the range for drivers that are not registered */
#endif
    .name = "tandem",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(tdm__h5_io *),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t tdm__h5_access(tdm__h5_io *io)
{
    static hid_t id = -1; /* guarded by the library's lock */
    /* The application may have closed the library, and all ids with it. */
    if (id < 0 || H5Iget_type(id) != H5I_VFL) id = H5FDregister(&driver);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 && (id < 0 || H5Pset_driver(access, id, &io) < 0)) {
        H5Pclose(access);
        access = -1;
    }
    return access;
}
