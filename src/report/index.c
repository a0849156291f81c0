/* report/index.c: SQLite. Two tables: runs(path, signature, seen) and fields(run, name, text); all
 * changes of a call are one transaction at its end, so a reader never waits for one that reads
 * folders. */
#include "report/index.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

enum { FORMAT = 2, BUSY_MILLISECONDS = 2000 };

/* What was read from folders, to be written at the end. */
typedef struct fresh_run {
    char *path, *signature;
    tdm__record record;
} fresh_run;

struct tdm__index {
    sqlite3 *db; /* NULL: given up */
    char *folder, *file;
    sqlite3_stmt *fields;
    fresh_run *fresh;
    size_t n_fresh, fresh_capacity;
    char **seen; /* paths asked for */
    size_t n_seen, seen_capacity;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS runs(id INTEGER PRIMARY KEY, path TEXT UNIQUE NOT NULL,"
    " signature TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS fields(run INTEGER NOT NULL REFERENCES runs(id), place INTEGER,"
    " name TEXT NOT NULL, text TEXT NOT NULL, PRIMARY KEY(run, place)) WITHOUT ROWID;";

/* ---- giving up ------------------------------------------------------------------------------- */

static void close_db(tdm__index *x)
{
    sqlite3_finalize(x->fields);
    x->fields = NULL;
    sqlite3_close(x->db);
    x->db = NULL;
}

static void remove_files(const tdm__index *x)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        tdm__str path = {0};
        tdm__str_addf(&path, "%s%s", x->file, ends[i]);
        if (!tdm__str_status(&path)) unlink(path.text);
        tdm__str_free(&path);
    }
}

/* From now on without the index. One that is damaged is of no use to anybody. */
static void give_up(tdm__index *x, int code)
{
    const bool damaged = (code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB;
    tdm__log(TDM_LOG_DEBUG, "%s: %s: runs are read from their folders", x->file,
             x->db ? sqlite3_errmsg(x->db) : sqlite3_errstr(code));
    close_db(x);
    if (damaged) remove_files(x);
}

static bool works(tdm__index *x, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return true;
    give_up(x, code);
    return false;
}

/* ---- opening --------------------------------------------------------------------------------- */

static int user_version(sqlite3 *db, int *out)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &s, NULL);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) *out = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

/* WAL lets one process write while others read. */
static int set_up(tdm__index *x)
{
    char text[64];
    int version = 0;
    int code = sqlite3_open_v2(x->file, &x->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (!code) code = sqlite3_busy_timeout(x->db, BUSY_MILLISECONDS);
    if (!code)
        code = sqlite3_exec(x->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL", NULL, NULL,
                            NULL);
    if (!code) code = user_version(x->db, &version);
    if (!code && version != FORMAT) {
        snprintf(text, sizeof text, "PRAGMA user_version=%d", FORMAT);
        code = sqlite3_exec(x->db, "DROP TABLE IF EXISTS fields; DROP TABLE IF EXISTS runs", NULL,
                            NULL, NULL);
        if (!code) code = sqlite3_exec(x->db, text, NULL, NULL, NULL);
    }
    if (!code) code = sqlite3_exec(x->db, schema, NULL, NULL, NULL);
    if (!code)
        code = sqlite3_prepare_v2(x->db,
                                  "SELECT name, text FROM runs JOIN fields ON run=id"
                                  " WHERE path=? AND signature=? ORDER BY place",
                                  -1, &x->fields, NULL);
    return code;
}

tdm__index *tdm__index_open(const char *folder)
{
    tdm__index *x = tdm__calloc(1, sizeof *x);
    int code = SQLITE_NOMEM;
    if (!x) return NULL;
    x->folder = tdm__strdup(folder);
    if (x->folder && !tdm__path_join(folder, "runs.sqlite", &x->file)) {
        code = set_up(x);
        if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
            give_up(x, code);
            code = set_up(x); /* anew */
        }
        if (code) give_up(x, code);
    }
    if (code) tdm__index_close(&x);
    return x;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The path below the index's folder. */
static const char *relative(const tdm__index *x, const char *path)
{
    const size_t n = strlen(x->folder);
    if (strncmp(path, x->folder, n) != 0) return path;
    path += n;
    return path + strspn(path, "/");
}

static tdm_status make_signature(const char *folder, tdm__str *out)
{
    static const char *const names[] = {"config.yaml", "metrics.jsonl", "summary.json"};
    tdm_status status = TDM_OK;
    char *path = NULL;
    tdm__str_add(out, TANDEM_VERSION);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct stat s;
        free(path);
        TDM_TRY(tdm__path_join(folder, names[i], &path));
        if (stat(path, &s))
            tdm__str_add(out, " -");
        else
            tdm__str_addf(out, " %" PRIu64 ":%" PRIu64 ":%lld.%09ld", (uint64_t)s.st_ino,
                          (uint64_t)s.st_size, (long long)s.st_mtim.tv_sec,
                          (long)s.st_mtim.tv_nsec);
    }
    status = tdm__str_status(out);
done:
    free(path);
    return status;
}

static const char *column(sqlite3_stmt *s, int i)
{
    const char *text = (const char *)sqlite3_column_text(s, i);
    return text ? text : "";
}

/* *found: the index had a current entry. One statement, hence one state of the index: between two,
 * another process could put a new entry in the place of the one just found. */
static tdm_status look_up(tdm__index *x, const char *path, const char *signature, tdm__record *out,
                          bool *found)
{
    tdm_status status = TDM_OK;
    int code = sqlite3_bind_text(x->fields, 1, path, -1, SQLITE_TRANSIENT);
    if (!code) code = sqlite3_bind_text(x->fields, 2, signature, -1, SQLITE_TRANSIENT);
    while (!status && code != SQLITE_DONE && works(x, code)) {
        code = sqlite3_step(x->fields);
        if (code == SQLITE_ROW)
            status = tdm__record_add(out, column(x->fields, 0), column(x->fields, 1));
    }
    if (x->db) sqlite3_reset(x->fields);
    *found = !status && code == SQLITE_DONE && out->n > 0;
    if (!*found) tdm__record_free(out);
    return status;
}

static tdm_status copy_text(const char *text, char **out)
{
    *out = tdm__strdup(text);
    return *out ? TDM_OK : tdm__fail(TDM_ERR_NOMEM, "out of memory");
}

static tdm_status note(tdm__index *x, const char *path, const char *signature,
                       const tdm__record *record)
{
    tdm_status status = tdm__grow(&x->fresh, &x->fresh_capacity, x->n_fresh + 1, sizeof *x->fresh);
    if (status) return status;
    fresh_run *f = &x->fresh[x->n_fresh++];
    TDM_TRY(copy_text(path, &f->path));
    TDM_TRY(copy_text(signature, &f->signature));
    for (size_t i = 0; i < record->n; i++)
        TDM_TRY(tdm__record_add(&f->record, record->fields[i].name, record->fields[i].text));
done:
    return status;
}

tdm_status tdm__index_record(tdm__index *x, const char *path, tdm__record *out)
{
    tdm_status status = TDM_OK;
    tdm__str signature = {0};
    bool found = false;
    *out = (tdm__record){0};
    if (!x || !x->db) return tdm__record_read(path, out);
    const char *own = relative(x, path);
    TDM_TRY(tdm__grow(&x->seen, &x->seen_capacity, x->n_seen + 1, sizeof *x->seen));
    TDM_TRY(copy_text(own, &x->seen[x->n_seen]));
    x->n_seen++;
    TDM_TRY(make_signature(path, &signature));
    TDM_TRY(look_up(x, own, signature.text, out, &found));
    if (found) goto done;
    TDM_TRY(tdm__record_read(path, out));
    if (x->db) TDM_TRY(note(x, own, signature.text, out));
done:
    tdm__str_free(&signature);
    return status;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int run_with_text(sqlite3 *db, const char *sql, const char *text)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &s, NULL);
    if (!code) code = sqlite3_bind_text(s, 1, text, -1, SQLITE_TRANSIENT);
    if (!code) code = sqlite3_step(s);
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int insert_run(sqlite3 *db, const fresh_run *f, sqlite3_stmt *run, sqlite3_stmt *field)
{
    int code = run_with_text(db, "DELETE FROM fields WHERE run=(SELECT id FROM runs WHERE path=?)",
                             f->path);
    if (!code) code = run_with_text(db, "DELETE FROM runs WHERE path=?", f->path);
    if (!code) code = sqlite3_bind_text(run, 1, f->path, -1, SQLITE_STATIC);
    if (!code) code = sqlite3_bind_text(run, 2, f->signature, -1, SQLITE_STATIC);
    if (!code && (code = sqlite3_step(run)) == SQLITE_DONE) code = SQLITE_OK;
    sqlite3_reset(run);
    const sqlite3_int64 id = sqlite3_last_insert_rowid(db);
    for (size_t i = 0; i < f->record.n && !code; i++) {
        code = sqlite3_bind_int64(field, 1, id);
        if (!code) code = sqlite3_bind_int64(field, 2, (sqlite3_int64)i);
        if (!code) code = sqlite3_bind_text(field, 3, f->record.fields[i].name, -1, SQLITE_STATIC);
        if (!code) code = sqlite3_bind_text(field, 4, f->record.fields[i].text, -1, SQLITE_STATIC);
        if (!code && (code = sqlite3_step(field)) == SQLITE_DONE) code = SQLITE_OK;
        sqlite3_reset(field);
    }
    return code;
}

/* Runs that are no longer there. Those asked for are listed in a temporary table. */
static int forget_others(tdm__index *x)
{
    int code =
        sqlite3_exec(x->db, "CREATE TEMP TABLE seen(path TEXT PRIMARY KEY)", NULL, NULL, NULL);
    for (size_t i = 0; i < x->n_seen && !code; i++)
        code = run_with_text(x->db, "INSERT OR IGNORE INTO seen VALUES(?)", x->seen[i]);
    if (!code)
        code = sqlite3_exec(x->db,
                            "DELETE FROM fields WHERE run IN (SELECT id FROM runs WHERE path NOT IN"
                            " (SELECT path FROM seen));"
                            "DELETE FROM runs WHERE path NOT IN (SELECT path FROM seen)",
                            NULL, NULL, NULL);
    return code;
}

static int count_runs(sqlite3 *db, size_t *out)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(db, "SELECT count(*) FROM runs", -1, &s, NULL);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) *out = (size_t)sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return code == SQLITE_ROW ? SQLITE_OK : code;
}

static int write_all(tdm__index *x)
{
    sqlite3_stmt *run = NULL, *field = NULL;
    size_t known = 0;
    int code = count_runs(x->db, &known);
    if (!code && x->n_fresh == 0 && known == x->n_seen) return SQLITE_OK; /* nothing is new */
    if (!code) code = sqlite3_exec(x->db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    if (!code)
        code = sqlite3_prepare_v2(x->db, "INSERT INTO runs(path, signature) VALUES(?, ?)", -1, &run,
                                  NULL);
    if (!code)
        code = sqlite3_prepare_v2(x->db, "INSERT INTO fields VALUES(?, ?, ?, ?)", -1, &field, NULL);
    for (size_t i = 0; i < x->n_fresh && !code; i++)
        code = insert_run(x->db, &x->fresh[i], run, field);
    if (!code) code = forget_others(x);
    sqlite3_finalize(run);
    sqlite3_finalize(field);
    if (!code) code = sqlite3_exec(x->db, "COMMIT", NULL, NULL, NULL);
    return code;
}

void tdm__index_close(tdm__index **index)
{
    tdm__index *x = *index;
    if (!x) return;
    if (x->db) {
        const int code = write_all(x);
        if (code) give_up(x, code); /* closing takes a begun transaction back */
    }
    close_db(x);
    for (size_t i = 0; i < x->n_fresh; i++) {
        free(x->fresh[i].path);
        free(x->fresh[i].signature);
        tdm__record_free(&x->fresh[i].record);
    }
    for (size_t i = 0; i < x->n_seen; i++) free(x->seen[i]);
    free(x->fresh);
    free(x->seen);
    free(x->folder);
    free(x->file);
    free(x);
    *index = NULL;
}
