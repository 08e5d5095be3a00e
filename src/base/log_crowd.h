/*
 * Lines that come by the thousand when many fail of one thing: servers of a pool, say. The first few of a
 * second are written; the rest are counted by what they belong to and why, and told a second later as one
 * line for each, with `repeated=N`: written and repeated together are as many as there were. What there is no
 * place for is told as one sum. One static crowd for each call site; any thread.
 */
#ifndef WEIR_BASE_LOG_CROWD_H
#define WEIR_BASE_LOG_CROWD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

#define LOG_CROWD_LINES 10u  /* a second, of those that share group and reason */
#define LOG_CROWD_MOST 100u  /* a second, of all */
#define LOG_CROWD_PLACES 32u /* groups and reasons that are counted apart */
#define LOG_CROWD_TEXT 96u   /* bytes of either that are kept */

struct log_crowd_place {
    uint64_t key;     /* of sentence, group and reason; 0: free */
    uint64_t content; /* hash of the last line's pairs */
    uint32_t written, repeated;
    enum log_level level;
    const char *sentence;
    char group[LOG_CROWD_TEXT], why[LOG_CROWD_TEXT];
};
struct log_crowd {
    pthread_mutex_t lock;
    const char *subject, *group_key; /* what the group is: "pool" */
    uint64_t second;                 /* of what follows */
    uint32_t written, homeless;      /* lines of the second; those without a place */
    enum log_level homeless_level;
    const char *homeless_sentence;
    struct log_crowd_place places[LOG_CROWD_PLACES];
    bool listed;
    struct log_crowd *next;
};
#define LOG_CROWD(subject_, group_key_)                                                     \
    {                                                                                       \
        .lock = PTHREAD_MUTEX_INITIALIZER, .subject = (subject_), .group_key = (group_key_) \
    }

/* A line as log_write() has it, whose pairs say the group and the reason, too. why: "" when there is none. */
void log_crowd_write(struct log_crowd *crowd, enum log_level level, const char *sentence, const char *group,
                     const char *why, const struct log_pair *pairs);

#endif
