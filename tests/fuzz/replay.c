/*
 * Replays a target's seeds without libFuzzer, for `make check`: each seed, each of its beginnings, and each
 * with one byte changed in some ways, so that the target's promises are asked for beside what is well formed.
 * FUZZ_SEEDS: the file, a seed a line as printf(1) reads it (tests/fuzz/run gives libFuzzer the same).
 */
#include <signal.h>
#include <unistd.h>

#include "fuzz.h"

#define SEED_MOST 8192u

static struct {
    unsigned line;
    size_t length, changed; /* of the input that runs; changed: SIZE_MAX: no byte is */
    uint8_t bytes[SEED_MOST];
} replayed;

static void tell(int number)
{
    char text[160];
    int length =
        snprintf(text, sizeof text, "%s:%u: the first %zu bytes", FUZZ_SEEDS, replayed.line, replayed.length);
    if (replayed.changed != SIZE_MAX && length > 0 && (size_t)length < sizeof text)
        length += snprintf(text + length, sizeof text - (size_t)length, ", with %02x at %zu",
                           replayed.bytes[replayed.changed], replayed.changed);
    (void)!write(STDERR_FILENO, text, (size_t)length < sizeof text ? (size_t)length : sizeof text - 1);
    (void)!write(STDERR_FILENO, "\n", 1);
    signal(number, SIG_DFL);
    raise(number);
}

static void run(size_t length, size_t changed)
{
    replayed.length = length;
    replayed.changed = changed;
    char *exact = fuzz_exact(span_make((char *)replayed.bytes, length));
    (void)LLVMFuzzerTestOneInput((const uint8_t *)exact, length);
    free(exact);
}

/* ---- seeds ---- */

/* Up to three octal digits, or one of the letters that printf(1) knows; *at goes behind it. */
static uint8_t escape_read(const char *line, size_t *at)
{
    static const char letters[] = "n\nr\rt\t\\\\\"\"";
    unsigned value = 0, digits = 0;
    for (; digits < 3 && line[*at] >= '0' && line[*at] <= '7'; digits++)
        value = value * 8 + (unsigned)(line[(*at)++] - '0');
    if (digits != 0)
        return (uint8_t)value;
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (line[*at] == letters[i]) {
            (*at)++;
            return (uint8_t)letters[i + 1];
        }
    fprintf(stderr, "%s:%u: an escape that is not known: \\%c\n", FUZZ_SEEDS, replayed.line, line[*at]);
    exit(1);
}

static size_t seed_read(const char *line)
{
    size_t length = 0;
    for (size_t at = 0; line[at] != '\0' && line[at] != '\n';) {
        HOLDS(length < SEED_MOST);
        char c = line[at++];
        at += c == '%' && line[at] == '%';
        replayed.bytes[length++] = c == '\\' ? escape_read(line, &at) : (uint8_t)c;
    }
    return length;
}

/* A target that takes long for each input says in FUZZ_STEP that every so many bytes will do. */
#ifndef FUZZ_STEP
#define FUZZ_STEP 1u
#endif

static void seed_replay(size_t length)
{
    static const uint8_t other[] = {0, ' ', '"', '%', ',', ';', '\\', 0xff};
    run(length, SIZE_MAX);
    for (size_t at = 0; at < length; at += FUZZ_STEP) {
        run(at, SIZE_MAX);
        uint8_t own = replayed.bytes[at];
        for (unsigned bit = 0; bit < 8; bit++) {
            replayed.bytes[at] = (uint8_t)(own ^ 1u << bit);
            run(length, at);
        }
        for (unsigned i = 0; i < sizeof other; i++) {
            replayed.bytes[at] = other[i];
            run(length, at);
        }
        replayed.bytes[at] = own;
    }
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    unsigned seeds = 0;
    FILE *file = fopen(FUZZ_SEEDS, "r");
    if (file == NULL) {
        perror(FUZZ_SEEDS);
        return 1;
    }
    signal(SIGABRT, tell);
    signal(SIGSEGV, tell);
    while (getline(&line, &room, file) > 0) {
        replayed.line++;
        size_t length = seed_read(line);
        if (length == 0)
            continue;
        seed_replay(length);
        seeds++;
    }
    free(line);
    (void)fclose(file);
    printf("%s: %u seeds\n", FUZZ_SEEDS, seeds);
    return seeds != 0 ? 0 : 1;
}
