/* The access log: one line an exchange, JSON or logfmt, compiled once per snapshot, written into the worker's
 * ring. */
#ifndef WEIR_PROXY_ACCESS_LOG_H
#define WEIR_PROXY_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

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
    const struct plan *plan; /* NULL: no route */
    const char *pool;        /* name or NULL */
    const char *server;      /* of the last attempt or NULL */
    const char *server_protocol;
    const struct attempt_record *attempts; /* failed ones, in order */
    unsigned attempts_count;
    unsigned status;         /* sent to the client; 0: none */
    struct span grpc_status; /* of the response, as it stands there; empty: none */
    struct span servers_out; /* why none could be had; empty: one could */
    bool replayed;
    bool upstream_reused;
};
struct access_log *access_log_new(const struct access_log_config *config);
void access_log_free(struct access_log *log);
#define ACCESS_LINE_MAX 8192 /* bytes of a line with its newline; what clients send is cut to fit */
/* The exchange is over; makes its request id when nobody has yet. */
void access_log_write(const struct access_log *log, struct exchange *exchange,
                      const struct access_facts *facts);
/* The line alone, into memory of at least ACCESS_LINE_MAX bytes. */
struct span access_log_print(const struct access_log *log, struct exchange *exchange,
                             const struct access_facts *facts, uint64_t wall_us,
                             char memory[ACCESS_LINE_MAX]);

#endif
