/* The access log: one line an exchange, JSON or logfmt, compiled once per snapshot, written into the worker's ring. */
#ifndef WEIR_PROXY_ACCESS_LOG_H
#define WEIR_PROXY_ACCESS_LOG_H

#include <stdbool.h>

struct access_log;
struct access_log_config;
struct exchange;
struct plan;
/* Attempts beyond the first, for the line: server and failure of each. */
struct attempt_record {
    const char *server;
    const char *failure; /* word of the failure table */
};
struct access_facts {
    const struct plan *plan;      /* NULL: no route */
    const char *pool;             /* name or NULL */
    const char *server;           /* of the last attempt or NULL */
    const char *server_protocol;
    const struct attempt_record *attempts; /* failed ones, in order */
    unsigned attempts_count;
    unsigned status;              /* sent to the client; 0: none */
    bool replayed;
    bool upstream_reused;
};
struct access_log *access_log_new(const struct access_log_config *config);
void access_log_free(struct access_log *log);
void access_log_write(const struct access_log *log, const struct exchange *exchange, const struct access_facts *facts);

#endif
