/* Omniglot (Lake, Salakhutdinov, Tenenbaum, Science 2015): pictures of characters from 50
 * alphabets, each character drawn by 20 people, to train.h5 and test.h5 with
 * - images (N, S, S, 1) u8, as in the files: ink 0 on 255;
 * - character (N) u16, classes "Alphabet/characterNN" in the order of the names, grouped by
 *   alphabet;
 * - alphabet (N) u8; drawer (N) u8, 0..19.
 * The first 80 % of a character's pictures, by file name, are for training: 16 of 20, and 3 of 4. A
 * character needs two at least.
 *
 * Originals are images_background and images_evaluation, each a zip archive or a folder, with
 * <Alphabet>/characterNN/NNNN_DD.png below; DD is the drawer. Other entries are passed over.
 * Samples lie in the order of the names. The pictures have two values and deflate to a thirtieth,
 * so inflating the six of a chunk to get one costs little. */
#include "data/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "format/png.h"
#include "format/zip.h"

enum { SIDE = 105, DRAWERS = 20, PARTS = 2, TRAIN_OF_5 = 4 };
#define PICTURE_LIMIT ((size_t)1 << 20) /* bytes of a PNG */

static const char *const part_names[PARTS] = {"images_background", "images_evaluation"};

/* A zip archive (zip set) or a folder. */
typedef struct part {
    char *path;
    tdm__zip *zip;
} part;

typedef struct picture {
    const part *part;
    uint64_t entry;  /* of the archive */
    char *name;      /* owned: Alphabet/characterNN/NNNN_DD.png */
    size_t alphabet; /* bytes of name before the first / */
    size_t group;    /* bytes of name before the second / */
    uint16_t class;
    uint8_t alphabet_class, drawer;
} picture;

typedef struct import {
    const tdm__import_job *job;
    part parts[PARTS];
    size_t n_parts;
    picture *pictures;
    size_t n, capacity;
    uint64_t passed_over;
    char **characters, **alphabets; /* names of the classes */
    size_t n_characters, characters_capacity, n_alphabets, alphabets_capacity;
    int32_t *group_of; /* the alphabet of each character */
    size_t group_capacity;
} import;

/* Finding the pictures
 * ------------------------------------------------------------------------------ */

/* "NNNN_DD.png" with DD in 1..20. */
static bool parse_drawer(const char *file, uint8_t *drawer)
{
    const char *mark = strrchr(file, '_');
    char digits[8] = {0};
    int64_t number = 0;
    size_t n = mark ? strcspn(mark + 1, ".") : 0;
    if (!n || n >= sizeof digits) return false;
    memcpy(digits, mark + 1, n);
    if (!tdm__parse_i64(digits, &number) || number < 1 || number > DRAWERS) return false;
    *drawer = (uint8_t)(number - 1);
    return true;
}

/* name: as in picture. What is not a picture of a character is passed over. */
static tdm_status add_picture(import *m, const part *from, uint64_t entry, const char *name)
{
    const char *slash = strchr(name, '/'), *second = slash ? strchr(slash + 1, '/') : NULL;
    bool deeper = second && strchr(second + 1, '/');
    if (!second || deeper || slash == name || second == slash + 1 || second[1] == '.' ||
        !tdm__ends_with(name, ".png")) {
        m->passed_over++;
        return TDM_OK;
    }
    picture p = {.part = from,
                 .entry = entry,
                 .alphabet = (size_t)(slash - name),
                 .group = (size_t)(second - name)};
    if (!parse_drawer(second + 1, &p.drawer))
        return tdm__fail(TDM_ERR_DATA, "%s: %s: the file must be named NNNN_DD.png, DD in 01..%d",
                         from->path, name, DRAWERS);
    tdm_status status = tdm__grow(&m->pictures, &m->capacity, m->n + 1, sizeof *m->pictures);
    if (status) return status;
    p.name = tdm__strdup(name);
    if (!p.name) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", name);
    m->pictures[m->n++] = p;
    return TDM_OK;
}

/* Entries are <part>/<Alphabet>/..., as in the published archives. */
static tdm_status list_zip(import *m, const part *from)
{
    tdm_status status = TDM_OK;
    for (uint64_t i = 0; !status && i < tdm__zip_count(from->zip); i++) {
        const char *name = tdm__zip_name(from->zip, i), *rest = NULL;
        for (size_t k = 0; k < PARTS; k++) {
            size_t n = strlen(part_names[k]);
            if (!strncmp(name, part_names[k], n) && name[n] == '/') rest = name + n + 1;
        }
        if (rest && *rest && !tdm__ends_with(name, "/"))
            status = add_picture(m, from, i, rest);
        else
            m->passed_over += !tdm__ends_with(name, "/");
    }
    return status;
}

/* below: "", "Alphabet" or "Alphabet/characterNN". */
static tdm_status list_folder(import *m, const part *from, const char *below, int depth)
{
    char **names = NULL, *folder = NULL;
    size_t n = 0;
    tdm__str name = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_join(from->path, below, &folder));
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) {
        char *path = NULL;
        if (names[i][0] == '.') continue;
        name.length = 0;
        tdm__str_addf(&name, "%s%s%s", below, *below ? "/" : "", names[i]);
        TDM_TRY(tdm__str_status(&name));
        TDM_TRY(tdm__path_join(from->path, name.text, &path));
        bool is_folder = tdm__is_folder(path);
        free(path);
        if (is_folder && depth < 2)
            TDM_TRY(list_folder(m, from, name.text, depth + 1));
        else
            TDM_TRY(add_picture(m, from, 0, name.text));
    }
done:
    tdm__str_free(&name);
    tdm__names_free(names, n);
    free(folder);
    return status;
}

static tdm_status add_zip(import *m, const char *path)
{
    part *p = &m->parts[m->n_parts++];
    p->path = tdm__strdup(path);
    if (!p->path) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
    tdm_status status = tdm__zip_open(path, &p->zip);
    return status ? status : list_zip(m, p);
}

static tdm_status add_folder(import *m, const char *path)
{
    part *p = &m->parts[m->n_parts++];
    p->path = tdm__strdup(path);
    return p->path ? list_folder(m, p, "", 0) : tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", path);
}

/* Each of the two parts as an archive or, where there is none, as a folder. */
static tdm_status find_pictures(import *m)
{
    tdm_status status = TDM_OK;
    char *folder = NULL, *zip = NULL;
    if (!tdm__is_folder(m->job->source)) return add_zip(m, m->job->source);
    for (size_t i = 0; i < PARTS; i++) {
        free(folder);
        free(zip);
        folder = zip = NULL;
        tdm__str name = {0};
        tdm__str_addf(&name, "%s/%s.zip", m->job->source, part_names[i]);
        zip = name.text;
        TDM_TRY(tdm__str_status(&name));
        TDM_TRY(tdm__path_join(m->job->source, part_names[i], &folder));
        if (tdm__path_exists(zip))
            TDM_TRY(add_zip(m, zip));
        else if (tdm__is_folder(folder))
            TDM_TRY(add_folder(m, folder));
        else
            tdm__log(TDM_LOG_WARN, "%s: is not there: its characters are left out", folder);
    }
    if (!m->n_parts)
        status = tdm__fail(TDM_ERR_DATA, "%s: holds neither %s nor %s, .zip or folder",
                           m->job->source, part_names[0], part_names[1]);
done:
    free(folder);
    free(zip);
    return status;
}

/* Classes
 * ------------------------------------------------------------------------------------------- */

/* Strings of which one may be the beginning of the other, as bytes. */
static int compare(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    if (order) return order;
    return a_length < b_length ? -1 : a_length > b_length;
}

/* By alphabet, character, file. */
static int by_name(const void *a, const void *b)
{
    const picture *p = a, *q = b;
    int order = compare(p->name, p->alphabet, q->name, q->alphabet);
    if (!order) order = compare(p->name, p->group, q->name, q->group);
    return order ? order : strcmp(p->name, q->name);
}

static tdm_status add_class(char ***names, size_t *n, size_t *capacity, const char *text,
                            size_t length)
{
    tdm_status status = tdm__grow(names, capacity, *n + 1, sizeof **names);
    tdm__str name = {0};
    if (status) return status;
    tdm__str_addn(&name, text, length);
    status = tdm__str_status(&name);
    if (!status) (*names)[(*n)++] = name.text;
    return status;
}

/* Numbers the classes in the order of the sorted pictures. */
static tdm_status name_classes(import *m)
{
    tdm_status status = TDM_OK;
    for (size_t i = 0; i < m->n; i++) {
        picture *p = &m->pictures[i];
        const picture *last = i ? p - 1 : NULL;
        if (last && !strcmp(last->name, p->name)) {
            status = tdm__fail(TDM_ERR_DATA, "%s is in %s and again in %s", p->name,
                               last->part->path, p->part->path);
            goto done;
        }
        if (!last || compare(last->name, last->alphabet, p->name, p->alphabet))
            TDM_TRY(add_class(&m->alphabets, &m->n_alphabets, &m->alphabets_capacity, p->name,
                              p->alphabet));
        if (!last || compare(last->name, last->group, p->name, p->group)) {
            TDM_TRY(add_class(&m->characters, &m->n_characters, &m->characters_capacity, p->name,
                              p->group));
            TDM_TRY(
                tdm__grow(&m->group_of, &m->group_capacity, m->n_characters, sizeof *m->group_of));
            m->group_of[m->n_characters - 1] = (int32_t)m->n_alphabets - 1;
        }
        if (m->n_characters > UINT16_MAX || m->n_alphabets > UINT8_MAX) {
            status = tdm__fail(TDM_ERR_DATA, "%s: more than %d characters or %d alphabets",
                               m->job->source, UINT16_MAX, UINT8_MAX);
            goto done;
        }
        p->class = (uint16_t)(m->n_characters - 1);
        p->alphabet_class = (uint8_t)(m->n_alphabets - 1);
    }
done:
    return status;
}

/* How many pictures, from the first-th on, are of one character. */
static size_t group_size(const import *m, size_t first)
{
    size_t n = 1;
    while (first + n < m->n && m->pictures[first + n].class == m->pictures[first].class) n++;
    return n;
}

/* Of n pictures of a character, those for training: the rest are for testing. */
static size_t train_count(size_t n)
{
    return n * TRAIN_OF_5 / 5;
}

static tdm_status check_counts(const import *m)
{
    if (!m->n)
        return tdm__fail(TDM_ERR_DATA, "%s: holds no <Alphabet>/characterNN/NNNN_DD.png",
                         m->job->source);
    for (size_t i = 0, n; i < m->n; i += n) {
        n = group_size(m, i);
        if (n < 2)
            return tdm__fail(TDM_ERR_DATA,
                             "%s: character %s has one picture: must have at least 2, to train and "
                             "to test on",
                             m->pictures[i].part->path, m->characters[m->pictures[i].class]);
    }
    if (m->passed_over)
        tdm__log(TDM_LOG_WARN, "%s: %llu files are no pictures of characters: passed over",
                 m->job->source, (unsigned long long)m->passed_over);
    return TDM_OK;
}

/* Writing
 * ------------------------------------------------------------------------------------------- */

static tdm_status read_bytes(const picture *p, void **bytes, size_t *size)
{
    char *path = NULL;
    if (p->part->zip) return tdm__zip_read(p->part->zip, p->entry, PICTURE_LIMIT, bytes, size);
    tdm_status status = tdm__path_join(p->part->path, p->name, &path);
    if (!status) status = tdm__read_file(path, PICTURE_LIMIT, bytes, size);
    free(path);
    return status;
}

/* One grey picture of `side` pixels. */
static tdm_status read_picture(const picture *p, unsigned side, tdm__image *out)
{
    void *bytes = NULL;
    size_t size = 0;
    tdm__str where = {0};
    tdm__image file = {0}, grey = {0};
    tdm_status status = TDM_OK;
    tdm__str_addf(&where, "%s: %s", p->part->path, p->name);
    TDM_TRY(tdm__str_status(&where));
    TDM_TRY(read_bytes(p, &bytes, &size));
    TDM_TRY(tdm__png_parse(bytes, size, where.text, &file));
    if (file.width != SIDE || file.height != SIDE) {
        status = tdm__fail(TDM_ERR_DATA, "%s: has %u x %u pixels: must have %d x %d", where.text,
                           file.width, file.height, SIDE, SIDE);
        goto done;
    }
    TDM_TRY(tdm__image_convert(&file, 1, &grey));
    TDM_TRY(tdm__image_resize(&grey, side, side, TDM__IMAGE_BILINEAR, out));
done:
    tdm__image_free(&grey);
    tdm__image_free(&file);
    tdm__str_free(&where);
    free(bytes);
    return status;
}

typedef enum set { IMAGES, CHARACTER, ALPHABET, DRAWER, SETS } set;

static tdm_status add_sets(const import *m, tdm__h5_writer *w, size_t sets[SETS])
{
    const tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1), u16 = tdm__elem_host(TDM__ELEM_UINT, 2);
    const tdm__import_array arrays[SETS] = {
        [IMAGES] = {.spec = {"images", u8, 3, {m->job->size, m->job->size, 1}, 4},
                    .kind = TDM_ARRAY_IMAGE,
                    .high = 255},
        [CHARACTER] = {.spec = {"character", u16, 0, {0}, 0},
                       .kind = TDM_ARRAY_CLASS,
                       .classes = m->n_characters,
                       .class_names = (const char *const *)m->characters,
                       .group = "alphabet",
                       .group_of = m->group_of,
                       .high = (double)m->n_characters - 1},
        [ALPHABET] = {.spec = {"alphabet", u8, 0, {0}, 0},
                      .kind = TDM_ARRAY_CLASS,
                      .classes = m->n_alphabets,
                      .class_names = (const char *const *)m->alphabets,
                      .high = (double)m->n_alphabets - 1},
        [DRAWER] = {.spec = {"drawer", u8, 0, {0}, 0},
                    .kind = TDM_ARRAY_CLASS,
                    .classes = DRAWERS,
                    .high = DRAWERS - 1}};
    tdm_status status = TDM_OK;
    for (int i = 0; i < SETS; i++) TDM_TRY(tdm__import_add(w, &arrays[i], &sets[i]));
    TDM_TRY(tdm__h5_writer_text(w, sets[IMAGES], "ink", "0 on 255, as in the original files"));
done:
    return status;
}

static tdm_status write_picture(const import *m, tdm__h5_writer *w, const size_t sets[SETS],
                                const picture *p)
{
    tdm__image image = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(read_picture(p, m->job->size, &image));
    TDM_TRY(tdm__h5_writer_append(w, sets[IMAGES], image.pixels, 1));
    TDM_TRY(tdm__h5_writer_append(w, sets[CHARACTER], &p->class, 1));
    TDM_TRY(tdm__h5_writer_append(w, sets[ALPHABET], &p->alphabet_class, 1));
    TDM_TRY(tdm__h5_writer_append(w, sets[DRAWER], &p->drawer, 1));
done:
    tdm__image_free(&image);
    return status;
}

static uint64_t split_size(const import *m, bool train)
{
    uint64_t total = 0;
    for (size_t i = 0, n; i < m->n; i += n) {
        n = group_size(m, i);
        total += train ? train_count(n) : n - train_count(n);
    }
    return total;
}

static tdm_status write_split(const import *m, const char *split, bool train)
{
    tdm__h5_writer *w = NULL;
    size_t sets[SETS] = {0};
    uint64_t total = split_size(m, train), done = 0;
    tdm_status status = TDM_OK;
    if (!tdm__import_wants(m->job, split)) return TDM_OK;
    TDM_TRY(tdm__import_create(m->job, tdm__import_omniglot.kind, split, &w));
    TDM_TRY(add_sets(m, w, sets));
    for (size_t i = 0, n; i < m->n; i += n) {
        n = group_size(m, i);
        size_t first = train ? 0 : train_count(n), end = train ? train_count(n) : n;
        TDM_TRY(tdm__import_progress(m->job, split, done, total));
        for (size_t k = first; k < end; k++)
            TDM_TRY(write_picture(m, w, sets, &m->pictures[i + k]));
        done += end - first;
    }
    TDM_TRY(tdm__h5_writer_commit(w));
    TDM_TRY(tdm__import_progress(m->job, split, total, total));
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

static void import_free(import *m)
{
    for (size_t i = 0; i < m->n_parts; i++) {
        tdm__zip_close(&m->parts[i].zip);
        free(m->parts[i].path);
    }
    for (size_t i = 0; i < m->n; i++) free(m->pictures[i].name);
    free(m->pictures);
    tdm__names_free(m->characters, m->n_characters);
    tdm__names_free(m->alphabets, m->n_alphabets);
    free(m->group_of);
}

static tdm_status run(const tdm__import_job *job)
{
import m = {.job = job };
    tdm_status status = TDM_OK;
    TDM_TRY(find_pictures(&m));
    if (m.n) qsort(m.pictures, m.n, sizeof *m.pictures, by_name);
    TDM_TRY(name_classes(&m));
    TDM_TRY(check_counts(&m));
    TDM_TRY(write_split(&m, "train", true));
    TDM_TRY(write_split(&m, "test", false));
done:
    import_free(&m);
    return status;
}

static const char *const splits[] = {"train", "test", NULL};

const tdm__importer tdm__import_omniglot = {
    .kind = "omniglot",
    .help = "folder with images_background and images_evaluation, each .zip or unpacked (or one "
            "of the .zip files); 1623 characters of 50 alphabets, 16 + 4 pictures each; --size "
            "resizes from 105",
    .splits = splits,
    .side = SIDE,
    .resizes = true,
    .takes_file = true,
    .run = run};
