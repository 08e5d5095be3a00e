/* What is counted, and how a failure is told. */
#ifndef ORACLE_REPORT_H
#define ORACLE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;
struct link;
struct trace;

/* clang-format off */
/* name, text */
#define FAULTS(X)                                                             \
    X(UNSENT, "requests that nobody sent")                                    \
    X(ALIEN, "answers of another")                                            \
    X(HANG, "hangs")                                                          \
    X(FORBIDDEN, "malformed or dropped requests that reached a server")       \
    X(TWICE, "requests that reached a server again")                          \
    X(CHANGED, "messages that are not what was sent")                         \
    X(MADE_UP, "ends that were made up")                                      \
    X(CUT, "messages cut without a reason")                                   \
    X(OWN, "answers of weir's own without a reason")                          \
    X(SYNTAX, "bytes that are no HTTP")                                       \
    X(SUBJECT, "faults of weir as a process")
/* name, text; of exchanges */
#define SHARES(X)                                                             \
    X(UPGRADE, "upgrades or CONNECT")                                         \
    X(EARLY, "early answers")                                                 \
    X(RESET, "resets")                                                        \
    X(INTERIM, "interim answers")                                             \
    X(TRAILERS, "trailers")                                                   \
    X(PIPELINED, "pipelined")                                                 \
    X(MALFORMED, "malformed requests")                                        \
    X(BAD_ANSWER, "malformed answers")                                        \
    X(EXPECT, "Expect: 100-continue")                                         \
    X(TUNNEL, "tunnels")                                                      \
    X(OTHER_UPGRADE, "other upgrades")                                        \
    X(BEHIND_UPGRADE, "behind an upgrade")                                    \
    X(RETRIED, "sent more than once")                                         \
    X(HEDGED, "hedged")                                                       \
    X(UPGRADE_BODY, "upgrades with a body")                                   \
    X(MIRRORED, "copied")                                                     \
    X(OVER_LIMIT, "bodies over a limit")                                      \
    X(OWN_ANSWER, "answered by weir itself")                                  \
    X(TLS_IN, "TLS from the client")                                          \
    X(TLS_OUT, "TLS to the server")
/* clang-format on */
enum fault {
#define X(name, text) FAULT_##name,
    FAULTS(X)
#undef X
        FAULT_COUNT
};
enum share {
#define X(name, text) SHARE_##name,
    SHARES(X)
#undef X
        SHARE_COUNT
};

/* Tells the fault with all that is known of the exchange and its connections (either may be NULL), and gives
 * the exchange up. */
__attribute__((format(printf, 4, 5))) void report_fault(enum fault fault, struct exchange *exchange,
                                                        struct link *link, const char *format, ...);
/*
 * What one end has seen may be explained by what the other is yet to read. So it is written down with all
 * that is known now, and told only if nothing has come a while later (exchange_look_around()).
 */
__attribute__((format(printf, 3, 4))) void report_suspect(enum fault fault, struct exchange *exchange,
                                                          const char *format, ...);
void report_suspicion_ends(struct exchange *exchange, bool was_right);
void report_begin(uint64_t seed, uint64_t exchanges);
void report_exchange(const struct exchange *exchange);
void report_connection(bool http2, bool tls, bool to_server);
/* The figures; true: nothing was wrong. */
bool report_end(void);
uint64_t report_faults(void);
uint64_t report_exchanges(void);

#endif
