/*
 * Filters: the steps of a route. A kind is one file and one row of filter_kinds[], whose order is the order
 * in which a request passes them, the same for everybody. Settings come from the route's configuration.
 */
#ifndef WEIR_FILTER_FILTER_H
#define WEIR_FILTER_FILTER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/error.h"
#include "config/route_config.h"

struct config;
struct exchange;
struct fields;
struct filter;
struct limiter_set;

enum verdict { VERDICT_NEXT, VERDICT_ANSWERED, VERDICT_WAIT };

struct filter_kind {
    const char *name;
    int state; /* index in exchange.filter_states when it keeps something per exchange, else -1 */
    /* True and filter->prepared set when the route uses it; true and NULL when not; false with error. */
    bool (*prepare)(struct filter *filter, const struct route_config *route, const struct config *config,
                    struct limiter_set *limiters, struct error *error);
    void (*dispose)(struct filter *filter);
    /* NULL: none. ANSWERED: exchange->answer is set */
    enum verdict (*request)(const struct filter *filter, struct exchange *exchange);
    /* NULL: none; sees exchange->response (final head only). False: the arena is full, and what it would have
     * changed must not go out unchanged */
    bool (*response)(const struct filter *filter, struct exchange *exchange);
    /* NULL: none; what the step above takes out of heads or sets must not come in behind the body */
    void (*request_trailers)(const struct filter *filter, struct fields *trailers);
    void (*response_trailers)(const struct filter *filter, struct fields *trailers);
    /* NULL: none; once, when the exchange ends, if its request step ran */
    void (*done)(const struct filter *filter, struct exchange *exchange);
    /* The request step as weir explain takes it: counts nothing that a question must not. NULL: none */
    enum verdict (*ask)(const struct filter *filter, struct exchange *exchange);
    /* one line for weir explain */
    void (*explain)(const struct filter *filter, const struct exchange *exchange, char *line, size_t room);
};
/* One filter of one route, made once a snapshot, shared by all workers, read-only. */
struct filter {
    const struct filter_kind *kind;
    void *prepared;
};
extern const struct filter_kind *const filter_kinds[]; /* ends with NULL */

/* The filters a route uses, in order. */
struct filters {
    size_t count;
    struct filter *items;
};
bool filters_new(struct filters *filters, const struct route_config *route, const struct config *config,
                 struct limiter_set *limiters, struct error *error) MUST_CHECK;
void filters_dispose(struct filters *filters);
/* Runs from *index on; *index tells where it stopped (for WAIT, and for filters_done). */
enum verdict filters_request(const struct filters *filters, struct exchange *exchange, unsigned *index);
bool filters_response(const struct filters *filters, struct exchange *exchange) MUST_CHECK;
void filters_request_trailers(const struct filters *filters, struct fields *trailers);
/* What they remove or set goes; of the fields of an interim response too. */
void filters_response_trailers(const struct filters *filters, struct fields *trailers);
void filters_done(const struct filters *filters, struct exchange *exchange, unsigned index);

/* The limiters of the process by name; they outlive reloads while their definition (rate, burst, key, keys,
 * prefix) stays. For the thread that loads, but for the limiters themselves. */
struct limiter_set *limiter_set_new(void);
void limiter_set_free(struct limiter_set *set);
void limiter_set_begin(struct limiter_set *set); /* of building a snapshot */
void limiter_set_sweep(struct limiter_set *set); /* drops those that no snapshot uses */

#endif
