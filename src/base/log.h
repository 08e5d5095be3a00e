/*
 * The log: lines for people and programs about the life of the process (not requests: those are the access
 * log). log_warn("health", "server is down", KV("pool", pool->name), KV_NUMBER("after", 3)); subject,
 * sentence, pairs. From any thread; a line goes into a ring of the thread (log_thread_enter) or, when there
 * is none (start-up, tests), straight to stderr. A full ring drops the line and counts it. Repeats of one
 * call site are folded: a line equal to the one before within the same second, or beyond 32 lines a second of
 * one site, is only counted, and a line with `repeated=N` follows.
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR, LOG_LEVEL_OFF };
enum log_format { LOG_FORMAT_LOGFMT, LOG_FORMAT_JSON };

struct log_pair {
    const char *key; /* NULL ends */
    struct span text;
    int64_t number;
    bool is_number;
};
struct log_site {             /* one static per call, for folding */
    _Atomic uint64_t window;  /* second of the last written line, plus one */
    _Atomic uint64_t content; /* hash of its pairs */
    _Atomic uint32_t written; /* lines within the window */
    _Atomic uint32_t folded;
    _Atomic bool listed; /* what follows is set, and the site is on the list that the log thread walks */
    enum log_level level;
    const char *subject, *sentence;
    struct log_site *next;
};

#define KV(name, value)                       \
    {                                         \
        .key = (name), .text = span_of(value) \
    }
#define KV_SPAN(name, value)           \
    {                                  \
        .key = (name), .text = (value) \
    }
#define KV_NONE     \
    {               \
        .key = NULL \
    } /* a line without pairs */
#define KV_NUMBER(name, value)                                       \
    {                                                                \
        .key = (name), .number = (int64_t)(value), .is_number = true \
    }

/* lines below it cost one compare; written at start and reload only */
extern _Atomic(enum log_level) log_level;

void log_write(struct log_site *site, enum log_level level, const char *subject, const char *sentence,
               const struct log_pair *pairs);

#define LOG_AT(level_, subject, sentence, ...)                                  \
    do {                                                                        \
        if ((level_) >= log_level) {                                            \
            static struct log_site log_site_;                                   \
            const struct log_pair log_pairs_[] = {__VA_ARGS__, {.key = NULL}};  \
            log_write(&log_site_, (level_), (subject), (sentence), log_pairs_); \
        }                                                                       \
    } while (0)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
