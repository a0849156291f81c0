/* Oxford-IIIT Pet (Parkhi et al., CVPR 2012): images/NAME.jpg, annotations/{list.txt,
 * trimaps/NAME.png, xmls/NAME.xml} to train.h5, val.h5 and test.h5, one sample at a time.
 *
 * The data set is what list.txt lists. The release has quirks: pictures that are not listed, a GIF
 * and a PNG that are named .jpg, heads for half of the pictures. What is not listed, and what
 * cannot be read, is left out and named in the log; more than half unreadable is an error.
 *
 * Splits: the release's trainval.txt and test.txt where both are there, with a tenth of trainval as
 * val; else 81 % train, 9 % val, 10 % test. They are drawn by a fixed seed, evenly over the breeds:
 * the pictures are put in an order of breeds, random within each, and taken at equal distances. */
#include "data/import.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/pets.h"
#include "format/jpeg.h"

enum { DEFAULT_SIZE = 256, MIN_SIZE = 8, MAX_SIZE = 4096, MOST_BREEDS = 1000, NAMED = 20 };
#define MOST_LIST ((size_t)16 << 20)

typedef enum part { TRAIN, VAL, TEST, PARTS, NOWHERE = PARTS } part;
static const char *const splits[] = {"train", "val", "test", NULL};

typedef struct entry {
    char *name;    /* "Abyssinian_100" */
    uint32_t id;   /* of the breed, in the list */
    uint8_t dog;   /* 0 cat, 1 dog */
    uint8_t breed; /* index into breed_names */
    part part;
} entry;

typedef struct pets {
    const tdm__import_job *job;
    entry *entries; /* in the order of the list */
    size_t n, capacity;
    char *breed_names[MOST_BREEDS];     /* those that occur, by their id */
    int32_t breed_species[MOST_BREEDS]; /* 0 cat, 1 dog */
    size_t n_breeds;
    uint32_t size;
    tdm__pets_sample sample; /* the one being written */
} pets;

static void pets_free(pets *p)
{
    for (size_t i = 0; i < p->n; i++) free(p->entries[i].name);
    for (size_t i = 0; i < p->n_breeds; i++) free(p->breed_names[i]);
    free(p->entries);
    tdm__pets_sample_free(&p->sample);
}

/* ---- notes: names of what is left out -------------------------------------------------------- */

typedef struct notes {
    tdm__str text;
    size_t n;
} notes;

static void note(notes *list, const char *what)
{
    if (list->n++ < NAMED) tdm__str_addf(&list->text, "%s%s", list->n > 1 ? ", " : "", what);
}

static void tell(notes *list, const char *folder, const char *why)
{
    if (list->n)
        tdm__log(TDM_LOG_WARN, "%s: %zu left out, %s: %s%s", folder, list->n, why,
                 tdm__str_text(&list->text), list->n > NAMED ? ", ..." : "");
    tdm__str_free(&list->text);
}

/* ---- lists ------------------------------------------------------------------------------------
 */

/* Letters, digits and - _ . only: a name is part of a path. */
static bool is_name(const char *name)
{
    for (const char *c = name; *c; c++) {
        const bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        if (!letter && !(*c >= '0' && *c <= '9') && !strchr("-_.", *c)) return false;
    }
    return name[0] && name[0] != '.';
}

typedef struct line {
    char name[128];
    unsigned id, species;
} line;

/* "Abyssinian_100 1 1 1"; # begins a comment. */
static tdm_status parse_line(char *text, const char *path, unsigned number, line *out)
{
    unsigned breed = 0;
    char extra = 0;
    const int got =
        sscanf(text, "%127s %5u %5u %5u %c", out->name, &out->id, &out->species, &breed, &extra);
    if (got != 4 || !is_name(out->name) || out->id < 1 || out->id > MOST_BREEDS ||
        out->species < 1 || out->species > 2)
        return tdm__hint(tdm__fail(TDM_ERR_DATA, "%s:%u: '%.60s' is no entry", path, number, text),
                         "NAME, breed 1..%d, species 1 or 2, breed of the species", MOST_BREEDS);
    return TDM_OK;
}

typedef tdm_status line_fn(pets *p, const line *l, const char *path, unsigned number, part target);

/* Calls fn for each entry of annotations/NAME. */
static tdm_status read_list(pets *p, const char *name, line_fn *fn, part target)
{
    tdm__str path = {0};
    char *bytes = NULL;
    size_t size = 0;
    unsigned number = 0;
    tdm_status status = TDM_OK;
    tdm__str_addf(&path, "%s/annotations/%s", p->job->source, name);
    TDM_TRY(tdm__str_status(&path));
    TDM_TRY(tdm__read_file(path.text, MOST_LIST, &bytes, &size));
    for (char *at = bytes, *next; *at; at = next) {
        char *end = at + strcspn(at, "\r\n");
        next = end + (*end != 0);
        *end = 0;
        number++;
        if (!at[strspn(at, " \t")] || *at == '#') continue;
        line l = {0};
        TDM_TRY(parse_line(at, path.text, number, &l));
        TDM_TRY(fn(p, &l, path.text, number, target));
    }
done:
    free(bytes);
    tdm__str_free(&path);
    return status;
}

static tdm_status add_entry(pets *p, const line *l, const char *path, unsigned number, part target)
{
    (void)path, (void)number;
    tdm_status status = tdm__grow(&p->entries, &p->capacity, p->n + 1, sizeof *p->entries);
    if (status) return status;
    char *name = tdm__strdup(l->name);
    if (!name) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", l->name);
    p->entries[p->n++] =
        (entry){.name = name, .id = l->id, .dog = (uint8_t)(l->species - 1), .part = target};
    return TDM_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

static entry *find_entry(const pets *p, const char *name)
{
    const entry key = {.name = (char *)name};
    return bsearch(&key, p->entries, p->n, sizeof key, by_name);
}

static tdm_status mark_entry(pets *p, const line *l, const char *path, unsigned number, part target)
{
    entry *e = find_entry(p, l->name);
    if (!e) return tdm__fail(TDM_ERR_DATA, "%s:%u: %s is not in list.txt", path, number, l->name);
    if (e->part != NOWHERE)
        return tdm__fail(TDM_ERR_DATA, "%s:%u: %s is listed twice", path, number, l->name);
    e->part = target;
    return TDM_OK;
}

/* ---- breeds ---------------------------------------------------------------------------------- */

/* "american_bulldog_94" -> "american_bulldog": every picture of a breed has its name. */
static size_t breed_length(const char *name)
{
    const char *last = strrchr(name, '_');
    return last ? (size_t)(last - name) : strlen(name);
}

static tdm_status number_breeds(pets *p)
{
    for (uint32_t id = 1; id <= MOST_BREEDS; id++) {
        const entry *first = NULL;
        for (size_t i = 0; i < p->n; i++) {
            entry *e = &p->entries[i];
            if (e->id != id) continue;
            if (!first) first = e;
            if (first->dog != e->dog)
                return tdm__fail(TDM_ERR_DATA,
                                 "list.txt: breed %u is a cat's for one of %s and %s, and a dog's "
                                 "for the other",
                                 id, first->name, e->name);
            if (p->n_breeds == UINT8_MAX)
                return tdm__fail(TDM_ERR_DATA, "list.txt: more than %d breeds", UINT8_MAX);
            e->breed = (uint8_t)p->n_breeds;
        }
        if (!first) continue;
        char *name = tdm__strdup(first->name);
        if (!name) return tdm__fail(TDM_ERR_NOMEM, "%s: out of memory", first->name);
        name[breed_length(name)] = 0;
        p->breed_species[p->n_breeds] = first->dog;
        p->breed_names[p->n_breeds++] = name;
    }
    return TDM_OK;
}

static tdm_status read_entries(pets *p)
{
    tdm_status status = TDM_OK;
    TDM_TRY(read_list(p, "list.txt", add_entry, NOWHERE));
    if (!p->n) return tdm__fail(TDM_ERR_DATA, "%s: list.txt lists nothing", p->job->source);
    qsort(p->entries, p->n, sizeof *p->entries, by_name);
    for (size_t i = 1; i < p->n; i++)
        if (!strcmp(p->entries[i - 1].name, p->entries[i].name))
            return tdm__fail(TDM_ERR_DATA, "list.txt: %s is listed twice", p->entries[i].name);
    TDM_TRY(number_breeds(p));
done:
    return status;
}

/* ---- splits ---------------------------------------------------------------------------------- */

/* Gives `count` of the n entries in `order` to a part, at equal distances, and closes the gaps. */
static size_t take(pets *p, size_t *order, size_t n, size_t count, part target)
{
    size_t left = 0;
    for (size_t k = 0; k < n; k++) {
        if ((k + 1) * count / n > k * count / n)
            p->entries[order[k]].part = target;
        else
            order[left++] = order[k];
    }
    return left;
}

/* The entries of a part: breed after breed, in random order within each. *order: free() it. */
static tdm_status order_by_breed(const pets *p, part from, size_t **order, size_t *n)
{
    uint64_t *shuffled = NULL;
    tdm_status status = TDM_OK;
    *n = 0;
    TDM_TRY(tdm__calloc_try(p->n, sizeof **order, order));
    TDM_TRY(tdm__calloc_try(p->n, sizeof *shuffled, &shuffled));
    tdm__rng rng = tdm__rng_make(0, tdm__rng_stream("import.oxford-pets", 0, 0));
    tdm__rng_permutation(&rng, shuffled, p->n);
    for (size_t b = 0; b < p->n_breeds; b++)
        for (size_t k = 0; k < p->n; k++) {
            const entry *e = &p->entries[shuffled[k]];
            if (e->breed == b && e->part == from) (*order)[(*n)++] = (size_t)shuffled[k];
        }
done:
    free(shuffled);
    return status;
}

static bool has_list(const pets *p, const char *name)
{
    tdm__str path = {0};
    tdm__str_addf(&path, "%s/annotations/%s", p->job->source, name);
    const bool has = !tdm__str_status(&path) && tdm__path_exists(path.text);
    tdm__str_free(&path);
    return has;
}

static tdm_status assign_parts(pets *p)
{
    size_t *order = NULL, n = 0;
    tdm_status status = TDM_OK;
    const bool listed = has_list(p, "trainval.txt") && has_list(p, "test.txt");
    if (listed) {
        TDM_TRY(read_list(p, "trainval.txt", mark_entry, TRAIN));
        TDM_TRY(read_list(p, "test.txt", mark_entry, TEST));
    }
    TDM_TRY(order_by_breed(p, listed ? TRAIN : NOWHERE, &order, &n));
    const size_t all = n;
    if (!listed) n = take(p, order, n, (all + 5) / 10, TEST);
    n = take(p, order, n, listed ? (all + 5) / 10 : (all * 9 + 50) / 100, VAL);
    for (size_t k = 0; k < n; k++) p->entries[order[k]].part = TRAIN;
    notes none = {0};
    size_t counts[PARTS + 1] = {0};
    for (size_t i = 0; i < p->n; i++) {
        counts[p->entries[i].part]++;
        if (p->entries[i].part == NOWHERE) note(&none, p->entries[i].name);
    }
    tell(&none, p->job->source, "neither in trainval.txt nor in test.txt");
    for (part k = TRAIN; k < PARTS; k++)
        if (!counts[k])
            status = tdm__fail(TDM_ERR_DATA, "%s: %zu pictures are too few: none is left for %s",
                               p->job->source, p->n, splits[k]);
done:
    free(order);
    return status;
}

/* Names the pictures that no list knows. */
static tdm_status note_unlisted(const pets *p)
{
    char *folder = NULL, **names = NULL;
    size_t n = 0;
    notes unlisted = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__path_join(p->job->source, "images", &folder));
    TDM_TRY(tdm__list_folder(folder, &names, &n));
    for (size_t i = 0; i < n; i++) {
        if (names[i][0] == '.' || !tdm__ends_with(names[i], ".jpg")) continue;
        names[i][strlen(names[i]) - 4] = 0;
        if (!find_entry(p, names[i])) note(&unlisted, names[i]);
    }
    tell(&unlisted, folder, "not in list.txt");
done:
    tdm__names_free(names, n);
    free(folder);
    return status;
}

/* ---- samples --------------------------------------------------------------------------------- */

/* source/folder/name+ending; free() it. */
static tdm_status file_of(const pets *p, const char *folder, const char *name, const char *ending,
                          char **out)
{
    tdm__str path = {0};
    tdm__str_addf(&path, "%s/%s/%s%s", p->job->source, folder, name, ending);
    *out = path.text;
    return tdm__str_status(&path);
}

/* A head that does not fit its picture is left out, not the picture. */
static tdm_status read_head(pets *p, const entry *e, const tdm__image *picture)
{
    char *path = NULL;
    tdm__voc_box box;
    tdm_status status = TDM_OK;
    TDM_TRY(file_of(p, "annotations/xmls", e->name, ".xml", &path));
    if (!tdm__path_exists(path)) goto done;
    status = tdm__voc_read(path, &box);
    if (!status) status = tdm__pets_head(&box, picture->width, picture->height, path, &p->sample);
    if (status == TDM_ERR_DATA) {
        tdm__log(TDM_LOG_WARN, "%s: the head is left out", tdm_last_error());
        status = TDM_OK;
    }
done:
    free(path);
    return status;
}

static tdm_status read_sample(pets *p, const entry *e)
{
    char *path = NULL, *trimap_path = NULL;
    tdm__image picture = {0}, trimap = {0};
    tdm_status status = TDM_OK;
    TDM_TRY(file_of(p, "images", e->name, ".jpg", &path));
    TDM_TRY(file_of(p, "annotations/trimaps", e->name, ".png", &trimap_path));
    TDM_TRY(tdm__picture_read(path, &picture));
    TDM_TRY(tdm__picture_read(trimap_path, &trimap));
    TDM_TRY(tdm__pets_fill(&picture, &trimap, trimap_path, &p->sample));
    TDM_TRY(read_head(p, e, &picture));
done:
    tdm__image_free(&picture);
    tdm__image_free(&trimap);
    free(path);
    free(trimap_path);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

enum { IMAGES, MASKS, TRIMAPS, BBOXES, HEAD, BINARY, BREED, ARRAYS };

static tdm_status add_arrays(const pets *p, tdm__h5_writer *w, size_t sets[ARRAYS])
{
    static const char *const mask_names[] = {"background", "animal"};
    static const char *const trimap_names[] = {"animal", "background", "border"};
    static const char *const species[] = {"cat", "dog"};
    const tdm__elem u8 = tdm__elem_host(TDM__ELEM_UINT, 1),
                    f32 = tdm__elem_host(TDM__ELEM_FLOAT, 4);
    const uint64_t s = p->size;
    const tdm__import_array arrays[ARRAYS] = {
        [IMAGES] = {.spec = {"images", u8, 3, {s, s, 3}, 0}, .kind = TDM_ARRAY_IMAGE, .high = 255},
        [MASKS] = {.spec = {"masks", u8, 3, {s, s, 1}, 0},
                   .kind = TDM_ARRAY_MASK,
                   .classes = 2,
                   .class_names = mask_names,
                   .high = 1},
        [TRIMAPS] = {.spec = {"trimaps", u8, 3, {s, s, 1}, 0},
                     .kind = TDM_ARRAY_MASK,
                     .classes = 3,
                     .class_names = trimap_names,
                     .high = 2},
        [BBOXES] = {.spec = {"bboxes", f32, 1, {4}, 0}, .kind = TDM_ARRAY_BOX, .high = (double)s},
        [HEAD] = {.spec = {"head", f32, 1, {4}, 0}, .kind = TDM_ARRAY_BOX, .high = (double)s},
        [BINARY] = {.spec = {"binary", u8, 0, {0}, 0},
                    .kind = TDM_ARRAY_CLASS,
                    .classes = 2,
                    .class_names = species,
                    .high = 1},
        [BREED] = {.spec = {"breed", u8, 0, {0}, 0},
                   .kind = TDM_ARRAY_CLASS,
                   .classes = p->n_breeds,
                   .class_names = (const char *const *)p->breed_names,
                   .group = "binary",
                   .group_of = p->breed_species,
                   .high = (double)p->n_breeds - 1}};
    tdm_status status = TDM_OK;
    for (int i = 0; i < ARRAYS && !status; i++) {
        tdm__import_array a = arrays[i];
        uint64_t bytes = a.spec.elem.size;
        for (int d = 0; d < a.spec.rank; d++) bytes *= a.spec.dims[d];
        a.spec.deflate = tdm__h5_deflate_for(bytes);
        status = tdm__import_add(w, &a, &sets[i]);
    }
    return status;
}

static tdm_status append(const pets *p, tdm__h5_writer *w, const size_t sets[ARRAYS],
                         const entry *e)
{
    const void *rows[ARRAYS] = {
        [IMAGES] = p->sample.image, [MASKS] = p->sample.mask, [TRIMAPS] = p->sample.trimap,
        [BBOXES] = p->sample.box,   [HEAD] = p->sample.head,  [BINARY] = &e->dog,
        [BREED] = &e->breed};
    tdm_status status = TDM_OK;
    for (int i = 0; i < ARRAYS && !status; i++)
        status = tdm__h5_writer_append(w, sets[i], rows[i], 1);
    return status;
}

static size_t count_part(const pets *p, part which)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++) n += p->entries[i].part == which;
    return n;
}

static tdm_status write_split(pets *p, part which)
{
    const size_t n = count_part(p, which);
    size_t sets[ARRAYS], done_count = 0, bad = 0;
    tdm__h5_writer *w = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__import_create(p->job, tdm__import_oxford_pets.kind, splits[which], &w));
    TDM_TRY(add_arrays(p, w, sets));
    for (size_t i = 0; i < p->n; i++) {
        const entry *e = &p->entries[i];
        if (e->part != which) continue;
        TDM_TRY(tdm__import_progress(p->job, splits[which], done_count++, n));
        status = read_sample(p, e);
        if (status == TDM_ERR_DATA) {
            tdm__log(TDM_LOG_WARN, "%s: is left out", tdm_last_error());
            status = TDM_OK;
            if (++bad <= n / 2) continue;
            status = tdm__hint(tdm__fail(TDM_ERR_DATA,
                                         "%zu of the %zu pictures of %s cannot be used: %s", bad, n,
                                         splits[which], e->name),
                               "the log names them and says why");
        }
        TDM_TRY(status);
        TDM_TRY(append(p, w, sets, e));
    }
    TDM_TRY(tdm__h5_writer_commit(w));
    TDM_TRY(tdm__import_progress(p->job, splits[which], n, n));
    if (bad) tdm__log(TDM_LOG_WARN, "%s: %zu of %zu pictures were left out", splits[which], bad, n);
done:
    tdm__h5_writer_destroy(&w);
    return status;
}

static tdm_status run(const tdm__import_job *job)
{
    pets *p = NULL;
    tdm_status status = TDM_OK;
    if (job->size < MIN_SIZE || job->size > MAX_SIZE)
        return tdm__fail(TDM_ERR_USAGE, "size %u: must be in %d..%d", job->size, MIN_SIZE,
                         MAX_SIZE);
    TDM_TRY(tdm__calloc_try(1, sizeof *p, &p));
    p->job = job;
    p->size = job->size;
    TDM_TRY(tdm__pets_sample_create(p->size, &p->sample));
    TDM_TRY(read_entries(p));
    TDM_TRY(note_unlisted(p));
    TDM_TRY(assign_parts(p));
    for (part k = TRAIN; k < PARTS; k++)
        if (tdm__import_wants(job, splits[k])) TDM_TRY(write_split(p, k));
done:
    if (p) pets_free(p);
    free(p);
    return status;
}

const tdm__importer tdm__import_oxford_pets = {
    .kind = "oxford-pets",
    .help = "folder with images/*.jpg and annotations/{list.txt,trimaps/*.png,xmls/*.xml}; --size "
            "resizes to other squares than 256",
    .splits = splits,
    .side = DEFAULT_SIZE,
    .resizes = true,
    .run = run};
