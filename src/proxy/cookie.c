/*
 * Splits rank the pools of a route for each client by weighted rendezvous (Thaler, Ravishankar 1998; weights
 * by -w/ln u): when a weight grows, only clients that move to that pool move, and no table is kept. A pool is
 * known by its name, so the order in the file does not matter.
 */
#include "proxy/cookie.h"

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/counters.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/text.h"
#include "config/config.h"
#include "filter/key.h"
#include "proxy/exchange_state.h"
#include "proxy/snapshot.h"
#include "proxy/worker.h"
#include "upstream/pool.h"
#include "upstream/server.h"
#include "upstream/sticky.h"

/* For the longest that the file may ask for: name, value, path, domain, and some words. */
#define COOKIE_ROOM (COOKIE_NAME_MOST + COOKIE_PATH_MOST + 512u)

/* The value of Set-Cookie; at == NULL: the arena is full. */
static struct span cookie_print(const struct exchange *x, const struct cookie_config *config,
                                struct span name, struct span value)
{
    static const char *const sites[] = {"Lax", "Strict", "None"};
    char room[COOKIE_ROOM];
    struct text text = text_over(room, sizeof room);
    text_add(&text, name);
    text_char(&text, '=');
    text_add(&text, value);
    text_print(&text, "; Path=%s", config->path);
    if (config->domain != NULL)
        text_print(&text, "; Domain=%s", config->domain);
    if (config->max_age != 0)
        text_print(&text, "; Max-Age=%llu", (unsigned long long)((config->max_age + 999) / 1000));
    /* Browsers drop SameSite=None without Secure. */
    if (config->secure == COOKIE_SECURE_ALWAYS || config->same_site == COOKIE_SITE_NONE ||
        (config->secure == COOKIE_SECURE_AUTO && x->https))
        text_add(&text, SPAN("; Secure"));
    if (config->http_only)
        text_add(&text, SPAN("; HttpOnly"));
    text_print(&text, "; SameSite=%s", sites[config->same_site]);
    return text.cut ? SPAN_NONE : arena_copy(x->arena, text_span(&text));
}

static bool cookie_give(struct exchange *x, struct fields *fields, const struct cookie_config *config,
                        struct span name, struct span value)
{
    struct span cookie = cookie_print(x, config, name, value);
    return cookie.at != NULL &&
           fields_add(fields, x->arena, field_names[FIELD_SET_COOKIE], cookie, FIELD_SET_COOKIE);
}

/* ---- sticky sessions ---- */

void sticky_begin(struct exchange_run *run)
{
    const struct sticky *sticky = run->pool->sticky;
    struct span word = key_cookie(&run->exchange, sticky_cookie(sticky));
    if (word.at == NULL)
        return;
    run->sticky_server = sticky_read(sticky, word, clock_wall_us(), &run->sticky_renew);
    if (run->sticky_server == NULL)
        counter_add(COUNTER_sticky_refused, 1);
}

bool sticky_end(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    const struct attempt *attempt = run->attempt;
    bool stayed = x->server == run->sticky_server;
    if (run->sticky_server != NULL)
        counter_add(stayed ? COUNTER_sticky_kept : COUNTER_sticky_moved, 1);
    /* Only for want of a free place this one went elsewhere: the next comes back. */
    if ((stayed && !run->sticky_renew) || (!stayed && attempt != NULL && attempt->waiter.preferred_full))
        return true;
    const struct sticky *sticky = run->pool->sticky;
    char word[STICKY_LENGTH];
    return sticky_write(sticky, x->server, clock_wall_us(), word) &&
           cookie_give(x, &x->response.fields, &run->pool->config->sticky->cookie, sticky_cookie(sticky),
                       span_make(word, sizeof word));
}

/* ---- splits ---- */

/* Over 0 and under 1, the same everywhere for the same key and name. */
static double draw(uint64_t key, const char *name)
{
    const uint64_t seed[2] = {key, 0};
    return ((double)(hash_sip13(seed, span_of(name)) >> 11) + 0.5) / 9007199254740992.0;
}

static const struct pool *pool_ranked(const struct plan *plan, uint64_t key)
{
    const struct pool *best = NULL;
    double best_rank = -1;
    for (uint32_t i = 0; i < plan->pools_count; i++) {
        double rank =
            plan->weights[i] == 0 ? -1 : -(double)plan->weights[i] / log(draw(key, plan->pools[i]->name));
        if (rank > best_rank) {
            best = plan->pools[i];
            best_rank = rank;
        }
    }
    return best;
}

#define MARK_LENGTH 16u /* of a split's cookie: a random number in hex */

static bool mark_is_ours(struct span mark)
{
    bool ours = mark.length == MARK_LENGTH;
    for (size_t i = 0; ours && i < mark.length; i++)
        ours = memchr("0123456789abcdef", mark.at[i], 16) != NULL;
    return ours;
}

static const struct pool *pool_of_mark(const struct plan *plan, struct span mark)
{
    const uint64_t seed[2] = {0x73706c6974ull, 0};
    return pool_ranked(plan, hash_sip13(seed, mark));
}

const struct pool *split_known(const struct plan *plan, const struct exchange *exchange)
{
    const struct split_config *split = plan->config->split;
    uint64_t key;
    if (split->cookie != NULL) {
        struct span mark = key_cookie(exchange, span_of(split->cookie->name));
        return mark.at != NULL && mark_is_ours(mark) ? pool_of_mark(plan, mark) : NULL;
    }
    return key_hash_fixed(split->parts, split->parts_count, (unsigned)split->ipv6_prefix, exchange, &key)
               ? pool_ranked(plan, key)
               : NULL;
}

const struct pool *split_choose(struct exchange_run *run, const struct plan *plan)
{
    struct exchange *x = &run->exchange;
    const struct cookie_config *cookie = plan->config->split->cookie;
    const struct pool *known = split_known(plan, x);
    if (known != NULL)
        return known;
    if (cookie == NULL)
        return pool_ranked(plan, rng_next(&run->worker->rng));
    struct span mark = arena_print(x->arena, "%016llx", (unsigned long long)random_bits());
    bool told = mark.at != NULL && cookie_give(x, &x->response_fields, cookie, span_of(cookie->name), mark);
    return told ? pool_of_mark(plan, mark) : NULL;
}
