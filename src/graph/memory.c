/* graph/memory.c: places regions with lifetimes in chunks of memory, and the arena that holds them.
 *
 * Greedy by size (largest first), each region at the lowest offset of the first chunk where it fits
 * between the regions already placed there that live at the same time. Chunks that exist already
 * keep their capacity; new ones are as large as their content needs, or as that of any announced
 * plan does (tdm__plan_reserve), never above the device's largest allocation. An announced plan
 * then gets the places that it had when it was announced: no region was above the extents found
 * then, and a chunk of that capacity refuses no region that it took. */
#include <stdlib.h>

#include "base/mem.h"
#include "graph/planning.h"

tdm_status tdm__arena_create(tdm_device *device, tdm__arena **out)
{
    tdm_status status = tdm__calloc_try(1, sizeof **out, out);
    if (!status) (*out)->device = device;
    return status;
}

void tdm__arena_destroy(tdm__arena **arena)
{
    tdm__arena *a = *arena;
    if (!a) return;
    for (size_t i = 0; i < a->n; i++) {
        tdm__buffer_destroy(a->device, a->chunks[i]);
        free(a->chunks[i]);
    }
    free(a->chunks);
    free(a->wanted);
    free(a);
    *arena = NULL;
}

static int compare_index(const size_t *a, const size_t *b, const tdm__region *regions)
{
    const tdm__region *x = &regions[*a], *y = &regions[*b];
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return *a < *b ? -1 : 1;
}

/* Largest first, then in order. Merge sort: stable and without a global for the regions. */
static void sort_by_size(size_t *order, size_t *scratch, size_t n, const tdm__region *regions)
{
    if (n < 2) return;
    size_t half = n / 2;
    sort_by_size(order, scratch, half, regions);
    sort_by_size(order + half, scratch, n - half, regions);
    size_t a = 0, b = half;
    for (size_t i = 0; i < n; i++) {
        bool left = b == n || (a < half && compare_index(&order[a], &order[b], regions) < 0);
        scratch[i] = left ? order[a++] : order[b++];
    }
    for (size_t i = 0; i < n; i++) order[i] = scratch[i];
}

static uint64_t round_up(uint64_t n, uint64_t align)
{
    return (n + align - 1) / align * align;
}

/* The lowest free offset for region `r` in a chunk; placed: regions there, by offset. */
static uint64_t lowest_gap(const tdm__region *r, const tdm__region *regions, const size_t *placed,
                           size_t n, uint64_t align)
{
    uint64_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const tdm__region *q = &regions[placed[i]];
        if (q->last < r->first || r->last < q->first) continue;
        if (q->offset >= at && q->offset - at >= r->bytes) return at;
        uint64_t end = round_up(q->offset + q->bytes, align);
        if (end > at) at = end;
    }
    return at;
}

typedef struct chunk {
    size_t *placed; /* region indices, by offset */
    size_t n, room;
    uint64_t limit, extent;
} chunk;

static tdm_status insert(chunk *c, tdm__region *regions, size_t index)
{
    tdm_status status = tdm__grow(&c->placed, &c->room, c->n + 1, sizeof *c->placed);
    if (status) return status;
    size_t i = c->n++;
    while (i > 0 && regions[c->placed[i - 1]].offset > regions[index].offset) {
        c->placed[i] = c->placed[i - 1];
        i--;
    }
    c->placed[i] = index;
    uint64_t end = regions[index].offset + regions[index].bytes;
    if (end > c->extent) c->extent = end;
    return TDM_OK;
}

static tdm_status place_one(tdm__region *regions, size_t index, uint64_t align, uint64_t max_chunk,
                            chunk **chunks, size_t *n_chunks, size_t *room)
{
    tdm__region *r = &regions[index];
    for (size_t c = 0; c < *n_chunks; c++) {
        chunk *at = &(*chunks)[c];
        uint64_t offset = lowest_gap(r, regions, at->placed, at->n, align);
        if (offset > at->limit || at->limit - offset < r->bytes) continue;
        r->chunk = c;
        r->offset = offset;
        return insert(at, regions, index);
    }
    if (r->bytes > max_chunk)
        return tdm__fail(TDM_ERR_NOMEM,
                         "a tensor of %llu bytes: the device allocates at most %llu at once",
                         (unsigned long long)r->bytes, (unsigned long long)max_chunk);
    tdm_status status = tdm__grow(chunks, room, *n_chunks + 1, sizeof **chunks);
    if (status) return status;
    (*chunks)[*n_chunks].limit = max_chunk;
    r->chunk = (*n_chunks)++;
    r->offset = 0;
    return insert(&(*chunks)[r->chunk], regions, index);
}

tdm_status tdm__regions_place(tdm__region *regions, size_t n, uint64_t align,
                              const uint64_t *capacity, size_t n_capacity, uint64_t max_chunk,
                              uint64_t **extent, size_t *n_chunks)
{
    tdm_status status = TDM_OK;
    size_t *order = NULL, room = 0, used = 0;
    chunk *chunks = NULL;
    *extent = NULL;
    *n_chunks = 0;
    TDM_TRY(tdm__calloc_try(2 * n, sizeof *order, &order));
    for (size_t i = 0; i < n; i++) order[i] = i;
    sort_by_size(order, order + n, n, regions);
    TDM_TRY(tdm__grow(&chunks, &room, n_capacity, sizeof *chunks));
    for (; used < n_capacity; used++) chunks[used].limit = capacity[used];
    for (size_t i = 0; i < n; i++)
        TDM_TRY(place_one(regions, order[i], align, max_chunk, &chunks, &used, &room));
    TDM_TRY(tdm__calloc_try(used, sizeof **extent, extent));
    for (size_t c = 0; c < used; c++) (*extent)[c] = chunks[c].extent;
    *n_chunks = used;
done:
    for (size_t c = 0; c < used; c++) free(chunks[c].placed);
    free(chunks);
    free(order);
    return status;
}

/* Makes the arena's chunks that are not there yet, as large as needed or announced. */
static tdm_status grow_arena(tdm__arena *arena, const uint64_t *extent, size_t n)
{
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__grow(&arena->chunks, &arena->capacity, n, sizeof *arena->chunks));
    while (arena->n < n) {
        tdm__buffer *buffer = NULL;
        TDM_TRY(tdm__calloc_try(1, sizeof *buffer, &buffer));
        uint64_t bytes = extent[arena->n];
        if (arena->n < arena->n_wanted && arena->wanted[arena->n] > bytes)
            bytes = arena->wanted[arena->n];
        status = tdm__buffer_create(arena->device, bytes, false, "activations", buffer);
        if (status) {
            free(buffer);
            goto done;
        }
        arena->chunks[arena->n++] = buffer;
    }
done:
    return status;
}

/* Regions: the arena homes in order, then the workspaces of the nodes in order. */
static size_t collect(const tdm__planning *p, tdm__region *regions)
{
    size_t n = 0;
    for (size_t h = 0; h < p->n_homes; h++)
        if (p->homes[h].kind == TDM__HOME_ARENA)
            regions[n++] = (tdm__region){
                .bytes = p->homes[h].bytes, .first = p->homes[h].first, .last = p->homes[h].last};
    for (int at = 0; at < (int)p->n_nodes; at++)
        if (!p->nodes[at].removed && p->nodes[at].workspace)
            regions[n++] = (tdm__region){.bytes = p->nodes[at].workspace, .first = at, .last = at};
    return n;
}

static tdm_status add_guard(tdm__planning *p, const char *name, uint64_t bytes, tdm__view *out)
{
    tdm__plan *plan = p->plan;
    tdm_status status =
        tdm__grow(&plan->guards, &plan->guards_capacity, plan->n_guards + 1, sizeof *plan->guards);
    if (status) return status;
    tdm__guarded *g = &plan->guards[plan->n_guards++];
    *g = (tdm__guarded){.bytes = bytes};
    TDM_TRY(tdm__calloc_try(1, sizeof *g->buffer, &g->buffer));
    g->name = tdm__strdup(name);
    if (!g->name) return tdm__fail(TDM_ERR_NOMEM, "out of memory");
    uint64_t total = round_up(plan->band + bytes + plan->band, 4);
    TDM_TRY(tdm__buffer_create(plan->device, total, false, "guarded value", g->buffer));
    *out = (tdm__view){g->buffer, plan->band};
done:
    return status;
}

/* Hands out a place to each region, in the order of collect(). */
static tdm_status assign(tdm__planning *p, const tdm__region *regions)
{
    tdm__arena *arena = p->plan->arena;
    tdm_status status = TDM_OK;
    for (size_t h = 0; h < p->n_homes; h++) {
        tdm__home *home = &p->homes[h];
        if (home->kind != TDM__HOME_ARENA) continue;
        if (p->spec->guard)
            TDM_TRY(add_guard(p, tdm_graph_name(p->graph, home->owner), home->bytes, &home->view));
        else
            home->view = (tdm__view){arena->chunks[regions->chunk], regions->offset};
        regions++;
    }
    for (size_t k = 0; k < p->n_nodes; k++) {
        tdm__planned *node = &p->nodes[k];
        if (node->removed || !node->workspace) continue;
        if (p->spec->guard)
            TDM_TRY(add_guard(p, node->entry->name, node->workspace, &node->workspace_view));
        else
            node->workspace_view = (tdm__view){arena->chunks[regions->chunk], regions->offset};
        regions++;
    }
done:
    return status;
}

static tdm_status place_in_arena(tdm__planning *p, tdm__region *regions, size_t n)
{
    tdm__arena *arena = p->plan->arena;
    uint64_t *capacity = NULL, *extent = NULL;
    size_t n_chunks = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(arena->n, sizeof *capacity, &capacity));
    for (size_t c = 0; c < arena->n; c++) capacity[c] = arena->chunks[c]->bytes;
    TDM_TRY(tdm__regions_place(regions, n, p->traits->align, capacity, arena->n,
                               p->traits->max_allocation, &extent, &n_chunks));
    TDM_TRY(grow_arena(arena, extent, n_chunks));
    for (size_t c = 0; c < n_chunks; c++) p->plan->stats.arena_bytes += extent[c];
done:
    free(capacity);
    free(extent);
    return status;
}

/* Of the constants, with room to align each. */
static uint64_t constant_bytes(const tdm__planning *p)
{
    uint64_t bytes = TDM__SPARE_BYTES;
    for (size_t h = 0; h < p->n_homes; h++)
        if (p->homes[h].kind == TDM__HOME_CONSTANT)
            bytes += round_up(p->homes[h].bytes, p->traits->align) + p->traits->align;
    return bytes;
}

tdm_status tdm__planning_measure(tdm__planning *p, uint64_t *bytes)
{
    const tdm__arena *arena = p->plan->arena;
    tdm__region *regions = NULL;
    uint64_t *capacity = NULL, *extent = NULL;
    size_t n_chunks = 0;
    tdm_status status = TDM_OK;
    *bytes = constant_bytes(p);
    TDM_TRY(tdm__calloc_try(p->n_homes + p->n_nodes, sizeof *regions, &regions));
    TDM_TRY(tdm__calloc_try(arena->n, sizeof *capacity, &capacity));
    for (size_t c = 0; c < arena->n; c++) capacity[c] = arena->chunks[c]->bytes;
    TDM_TRY(tdm__regions_place(regions, collect(p, regions), p->traits->align, capacity, arena->n,
                               p->traits->max_allocation, &extent, &n_chunks));
    for (size_t c = arena->n; c < n_chunks || c < arena->n_wanted; c++) {
        const uint64_t own = c < n_chunks ? extent[c] : 0;
        const uint64_t wanted = c < arena->n_wanted ? arena->wanted[c] : 0;
        *bytes += own > wanted ? own : wanted;
    }
done:
    free(extent);
    free(capacity);
    free(regions);
    return status;
}

tdm_status tdm__planning_reserve(tdm__planning *p)
{
    tdm__arena *arena = p->plan->arena;
    tdm__region *regions = NULL;
    uint64_t *extent = NULL;
    size_t n_chunks = 0;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(p->n_homes + p->n_nodes, sizeof *regions, &regions));
    TDM_TRY(tdm__regions_place(regions, collect(p, regions), p->traits->align, NULL, 0,
                               p->traits->max_allocation, &extent, &n_chunks));
    TDM_TRY(tdm__grow(&arena->wanted, &arena->wanted_capacity, n_chunks, sizeof *arena->wanted));
    while (arena->n_wanted < n_chunks) arena->wanted[arena->n_wanted++] = 0;
    for (size_t c = 0; c < n_chunks; c++)
        if (extent[c] > arena->wanted[c]) arena->wanted[c] = extent[c];
done:
    free(extent);
    free(regions);
    return status;
}

tdm_status tdm__planning_place(tdm__planning *p)
{
    tdm__plan_stats *stats = &p->plan->stats;
    tdm__region *regions = NULL;
    tdm_status status = TDM_OK;
    TDM_TRY(tdm__calloc_try(p->n_homes + p->n_nodes, sizeof *regions, &regions));
    size_t n = collect(p, regions);
    for (size_t i = 0; i < n; i++) stats->naive_bytes += regions[i].bytes;
    for (size_t k = 0; k < p->n_nodes; k++)
        if (!p->nodes[k].removed && p->nodes[k].workspace > stats->workspace_bytes)
            stats->workspace_bytes = p->nodes[k].workspace;
    if (!p->spec->guard) TDM_TRY(place_in_arena(p, regions, n));
    TDM_TRY(assign(p, regions));
done:
    free(regions);
    return status;
}
