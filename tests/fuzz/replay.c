/* Runs a fuzz target over files or folders of files, without libFuzzer, plus a few truncations and
 * bit flips of each, so that the corpus guards every build. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t run_count;

static void run_bytes(const uint8_t *bytes, size_t size)
{
    /* An exact-size copy lets the address sanitizer see reads past the end. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) return;
    if (size) memcpy(copy, bytes, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    run_count++;
}

static void run_mutations(uint8_t *bytes, size_t size)
{
    run_bytes(bytes, size);
    for (size_t k = 1; k <= 16 && size > 0; k++) run_bytes(bytes, size * k / 17);
    uint32_t state = 2463534242u;
    for (int k = 0; k < 64 && size > 0; k++) {
        state ^= state << 13, state ^= state >> 17, state ^= state << 5;
        size_t at = state % size;
        uint8_t old = bytes[at];
        bytes[at] = (uint8_t)(old ^ (1u << (state >> 29)));
        run_bytes(bytes, size);
        bytes[at] = old;
    }
}

static int run_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "cannot open %s\n", path);
        return 1;
    }
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    uint8_t *bytes = malloc(size > 0 ? (size_t)size : 1);
    size_t got = bytes ? fread(bytes, 1, (size_t)size, f) : 0;
    fclose(f);
    run_mutations(bytes, got);
    free(bytes);
    return 0;
}

static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st)) {
        fprintf(stderr, "no corpus at %s\n", path);
        return 1;
    }
    if (!S_ISDIR(st.st_mode)) return run_file(path);
    DIR *folder = opendir(path);
    if (!folder) return 1;
    int bad = 0;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        char child[4096];
        snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
        bad |= run_path(child);
    }
    closedir(folder);
    return bad;
}

int main(int argc, char **argv)
{
    int bad = argc < 2;
    for (int i = 1; i < argc; i++) bad |= run_path(argv[i]);
    printf("%zu inputs\n", run_count);
    return bad || run_count == 0;
}
