/* What weir explain says of the route that a request takes: filters, action, pools and what decides between
 * their servers. For people in lines, for programs in values. */
#include "cli/explain_answer.h"

#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "filter/answer.h"
#include "filter/filter.h"
#include "http/exchange.h"
#include "http/grpc.h"
#include "proxy/cookie.h"
#include "proxy/forwarded.h"
#include "proxy/snapshot.h"
#include "proxy/upgrade.h"
#include "upstream/pool.h"
#include "upstream/sticky.h"
#include "upstream/subset.h"

void explain_tell(struct answer_text *out, const char *key, const char *value)
{
    if (out->as_json) {
        json_key(&out->json, key);
        json_string(&out->json, span_of(value));
    } else {
        text_print(&out->text, "%-12s %s\n", key, value);
    }
}

/* What only programs get, as a number; people read it in a line. */
void explain_note(struct answer_text *out, const char *key, uint64_t value)
{
    if (!out->as_json)
        return;
    json_key(&out->json, key);
    json_number(&out->json, (int64_t)value);
}

void explain_note_text(struct answer_text *out, const char *key, const char *value)
{
    if (out->as_json)
        explain_tell(out, key, value);
}

void explain_note_bool(struct answer_text *out, const char *key, bool value)
{
    if (!out->as_json)
        return;
    json_key(&out->json, key);
    json_bool(&out->json, value);
}

/* An object in a list for programs, "value: second" for people. */
void explain_tell_pair(struct answer_text *out, const char *what, struct told_pair pair)
{
    if (!out->as_json) {
        text_print(&out->text, "%-12s %s: %s\n", what, pair.value, pair.second);
        return;
    }
    json_object(&out->json);
    explain_tell(out, pair.key, pair.value);
    explain_tell(out, pair.second_key, pair.second);
    json_end_object(&out->json);
}

/* status: of a page; what the file configures may be another than the failure's. */
static void tell_refusal(struct answer_text *out, const struct exchange *x, enum failure why, unsigned status)
{
    const struct failure_info *info = &failure_info[why];
    bool grpc = out->bridged || grpc_request_kind(&x->request) == GRPC_PLAIN;
    char line[256];
    if (grpc)
        snprintf(line, sizeof line, "200 with grpc-status %d, %s (%s)", (int)info->grpc, info->text,
                 info->word);
    else
        snprintf(line, sizeof line, "%u, %s (%s)", status, info->text, info->word);
    explain_tell(out, "answer", line);
    explain_note(out, "status", grpc ? 200 : status);
    explain_note_text(out, "failure", info->word);
}

void explain_tell_failure(struct answer_text *out, const struct exchange *x, enum failure why)
{
    tell_refusal(out, x, why, failure_info[why].status);
}

/* False: one of them answers the request. */
static bool tell_filters(struct answer_text *out, const struct plan *plan, struct exchange *x)
{
    char line[1024];
    for (size_t i = 0; i < plan->filters.count; i++) {
        const struct filter *filter = &plan->filters.items[i];
        if (filter->kind->explain == NULL)
            continue;
        line[0] = '\0';
        filter->kind->explain(filter, x, line, sizeof line);
        explain_tell(out, filter->kind->name, line);
        /* What a filter changes is what the next one and the action see. */
        if (filter->kind->ask != NULL && filter->kind->ask(filter, x) == VERDICT_ANSWERED) {
            tell_refusal(out, x, x->answer.failure, x->answer.status);
            return false;
        }
    }
    return true;
}

static const char *pool_protocol(const struct pool *pool)
{
    static const char *const protocols[] = {[POOL_HTTP_1] = "HTTP/1.1",
                                            [POOL_H2] = "HTTP/2",
                                            [POOL_H2C] = "HTTP/2",
                                            [POOL_AUTO] = "HTTP/2 or HTTP/1.1"};
    return protocols[pool->protocol];
}

static void tell_pool_itself(struct answer_text *out, const struct plan *plan, size_t index)
{
    static const char *const balances[] = {"adaptive", "least_conn", "round_robin",
                                           "random",   "first",      "hash"};
    const struct pool *pool = plan->pools[index];
    const struct pool_config *config = pool->config;
    size_t servers = pool->servers_count;
    unsigned long long attempts = config->retry.attempts, size = config->queue.size,
                       wait = config->queue.max_wait;
    char line[512], share[64] = "";
    if (out->as_json) {
        explain_tell(out, "pool", config->name);
        explain_note(out, "weight", plan->pools_count > 1 ? plan->weights[index] : 1);
        explain_tell(out, "balance", balances[config->balance]);
        explain_tell(out, "protocol", pool_protocol(pool));
        explain_note_bool(out, "tls", config->tls != NULL);
        explain_note(out, "retry_attempts", attempts);
        explain_note(out, "queue_size", size);
        explain_note(out, "queue_max_wait_ms", wait);
        return;
    }
    if (plan->pools_count > 1)
        snprintf(share, sizeof share, " (%u of %u)", plan->weights[index], plan->weights_total);
    snprintf(
        line, sizeof line,
        "%s%s: %s over %zu server%s by %s%s, %llu %s after the first, at most %llu requests wait %llu ms",
        config->name, share, balances[config->balance], servers, servers == 1 ? "" : "s", pool_protocol(pool),
        config->tls != NULL ? " in TLS" : "", attempts, attempts == 1 ? "try" : "tries", size, wait);
    explain_tell(out, "pool", line);
}

/* "auto", "50", or empty for no limit, with a word before it. */
static void print_most(struct text *text, const char *before, uint64_t most)
{
    if (most == CONNECTIONS_AUTO)
        text_print(text, "%sauto", before);
    else if (most != 0 && most != CONNECTIONS_NONE)
        text_print(text, "%s%llu", before, (unsigned long long)most);
}

/* A number, or the word for one that there is none of; programs get null where nothing is said. */
static void note_most(struct answer_text *out, const char *key, uint64_t most)
{
    json_key(&out->json, key);
    if (most == CONNECTIONS_AUTO)
        json_string(&out->json, SPAN("auto"));
    else if (most == 0 || most == CONNECTIONS_NONE)
        json_null(&out->json);
    else
        json_number(&out->json, (int64_t)most);
}

/* What decides between the servers, beside how busy they are. */
static void tell_choice(struct answer_text *out, const struct pool_config *pool)
{
    char line[512];
    struct text text = text_over(line, sizeof line);
    print_most(&text, "", pool->max_connections);
    if (out->as_json)
        note_most(out, "max_connections", pool->max_connections);
    else
        explain_tell(out, "at_once", text.length != 0 ? line : "no limit");
    text = text_over(line, sizeof line);
    for (size_t i = 0; pool->balance == BALANCE_HASH && i < pool->hash.key.count; i++)
        text_print(&text, "%s%s", i == 0 ? "by " : ", ", pool->hash.key.items[i]);
    if (text.length != 0 && pool->hash.bounded_load != 0)
        text_print(&text, "; at most %llu%% of its share to a server",
                   (unsigned long long)pool->hash.bounded_load);
    if (text.length != 0)
        explain_tell(out, "hash", line);
}

static void tell_server(struct answer_text *out, const struct pool_server *member)
{
    const struct server_config *server = member->config;
    char line[512];
    struct text text = text_over(line, sizeof line);
    if (out->as_json) {
        json_object(&out->json);
        explain_tell(out, "address", server->address);
        explain_note(out, "weight", server->weight);
        note_most(out, "max_connections", server->max_connections);
        if (server->backup == BACKUP_STANDBY)
            explain_note_text(out, "backup", "standby");
        else
            explain_note_bool(out, "backup", server->backup == BACKUP_SHARES);
        explain_note_bool(out, "other_zone", member->far);
        json_end_object(&out->json);
        return;
    }
    text_print(&text, "%s, weight %llu", server->address, (unsigned long long)server->weight);
    if (server->max_connections == CONNECTIONS_NONE)
        text_print(&text, ", no limit");
    print_most(&text, ", at once ", server->max_connections);
    if (member->far)
        text_print(&text, ", of another zone");
    if (server->backup != BACKUP_NOT)
        text_print(&text, server->backup == BACKUP_STANDBY ? ", standby" : ", backup");
    explain_tell(out, "server", line);
}

/* For programs an array of objects, since a route may have several pools; for people a line each. */
static void tell_pool(struct answer_text *out, const struct plan *plan, size_t index,
                      const struct timeouts_config *timeouts)
{
    const struct pool_config *pool = plan->pools[index]->config;
    char line[512];
    if (out->as_json)
        json_object(&out->json);
    tell_pool_itself(out, plan, index);
    if (plan->pools[index]->protocol != POOL_HTTP_1 && timeouts->ping != 0) {
        snprintf(line, sizeof line, "after %llu ms without a byte, %llu ms for the answer",
                 (unsigned long long)timeouts->ping, (unsigned long long)timeouts->ping_answer);
        explain_tell(out, "ping", line);
    }
    tell_choice(out, pool);
    if (pool->subset != NULL) {
        struct text text = text_over(line, sizeof line);
        subset_print(plan->pools[index], &text);
        explain_tell(out, "subset", line);
    }
    if (pool->sticky != NULL) {
        snprintf(line, sizeof line, "by the cookie %s", sticky_cookie(plan->pools[index]->sticky).at);
        explain_tell(out, "sticky", line);
    }
    if (out->as_json) {
        json_key(&out->json, "servers");
        json_array(&out->json);
    }
    for (size_t i = 0; i < plan->pools[index]->servers_count && (out->as_json || i < SKIPPED_MOST); i++) {
        tell_server(out, &plan->pools[index]->servers[i]);
    }
    if (out->as_json) {
        json_end_array(&out->json);
        json_end_object(&out->json);
    }
}

/* As an exchange takes it: the deadline, and in which form its failures are told. kind: of what came. */
static void tell_grpc(struct answer_text *out, const struct plan *plan, const struct exchange *x,
                      enum grpc_kind kind)
{
    uint64_t asked;
    char line[80];
    if (kind == GRPC_NONE)
        return;
    if (kind != GRPC_PLAIN && !plan->grpc_web)
        explain_tell(out, "grpc", "gRPC-Web, passed on as it is; grpc_web: true would translate it");
    else
        explain_tell(out, "grpc", "a failure is told by grpc-status, not by a page");
    if (!grpc_timeout(&x->request.fields, &asked))
        return;
    snprintf(line, sizeof line, "%llu ms, by grpc-timeout", (unsigned long long)asked);
    explain_tell(out, "deadline", line);
}

static void tell_upgrades(struct answer_text *out, const struct route_config *route,
                          const struct timeouts_config *timeouts)
{
    const struct texts *upgrades = &route->upgrades;
    struct text line = text_growing();
    for (size_t i = 0; i < upgrades->count; i++)
        text_print(&line, "%s%s", i == 0 ? "" : ", ", upgrades->items[i]);
    if (route->no_upgrades)
        text_print(&line, ": an upgrade goes on as a plain request");
    else
        text_print(&line, ": pass, and end after %llu ms without a byte",
                   (unsigned long long)timeouts->tunnel_idle);
    explain_tell(out, "upgrades", line.at);
    text_free(&line);
}

/* What the route lets pass, or makes of it, beside plain requests. */
static void tell_kinds(struct answer_text *out, const struct plan *plan, const struct exchange *x,
                       const struct timeouts_config *timeouts, enum grpc_kind kind)
{
    tell_upgrades(out, plan->config, timeouts);
    if (plan->grpc_web)
        explain_tell(out, "grpc_web", "goes to the pool as gRPC");
    tell_grpc(out, plan, x, kind);
}

static void print_wait(struct text *text, const char *what, uint32_t milliseconds)
{
    text_print(text, milliseconds != 0 ? "%s%s %u ms" : "%s%s none", text->length != 0 ? ", " : "", what,
               milliseconds);
}

static void tell_timeouts(struct answer_text *out, const struct plan *plan)
{
    const struct {
        const char *people, *programs;
        uint32_t milliseconds;
    } waits[] = {{"response", "response_ms", plan->response_timeout},
                 {"idle", "idle_ms", plan->idle_timeout},
                 {"whole", "whole_ms", plan->timeout}};
    char line[128];
    struct text text = text_over(line, sizeof line);
    if (out->as_json) {
        json_key(&out->json, "timeouts");
        json_object(&out->json);
    }
    for (size_t i = 0; i < COUNT_OF(waits); i++) {
        print_wait(&text, waits[i].people, waits[i].milliseconds);
        if (out->as_json && waits[i].milliseconds == 0) {
            json_key(&out->json, waits[i].programs);
            json_null(&out->json);
        } else {
            explain_note(out, waits[i].programs, waits[i].milliseconds);
        }
    }
    if (out->as_json)
        json_end_object(&out->json);
    else
        explain_tell(out, "timeouts", line);
}

static bool tell_body_limit(struct answer_text *out, const struct plan *plan, const struct exchange *x)
{
    char line[80];
    if (plan->body_limit == 0)
        return true;
    snprintf(line, sizeof line, "%llu bytes", (unsigned long long)plan->body_limit);
    explain_note(out, "body_limit_bytes", plan->body_limit);
    if (!out->as_json)
        explain_tell(out, "body_limit", line);
    if (x->request.body_length <= (int64_t)plan->body_limit)
        return true;
    explain_tell_failure(out, x, FAILURE_BODY_TOO_LARGE);
    return false;
}

/* The pool that the request's key or cookie decides on; NULL: any of them. */
static const struct pool *tell_split(struct answer_text *out, const struct plan *plan,
                                     const struct exchange *x)
{
    char line[1024];
    const struct split_config *split = plan->config->split;
    if (split == NULL || plan->pools_count < 2)
        return NULL;
    const struct pool *chosen = split_known(plan, x);
    const char *by = split->cookie != NULL ? split->cookie->name : split->key.items[0];
    snprintf(line, sizeof line, "by %s%s%s%s%s", split->cookie != NULL ? "the cookie " : "", by,
             split->cookie == NULL && split->key.count > 1 ? " and more" : "",
             chosen != NULL ? ", to " : ", which this request lacks: by lot",
             chosen != NULL ? chosen->name : "");
    explain_tell(out, "split", line);
    return chosen;
}

/* What an exchange does before its filters, which see what it has made of the request. */
static bool before_filters(struct answer_text *out, const struct plan *plan, struct exchange *x)
{
    enum failure why = upgrade_choose(plan->config, &x->request);
    if (why == FAILURE_NONE && !forwarded_add(x, plan->forwarding))
        why = FAILURE_OVERLOADED;
    if (why != FAILURE_NONE)
        explain_tell_failure(out, x, why);
    return why == FAILURE_NONE;
}

/* True: the pool is asked, and not weir itself (Max-Forwards). */
static bool goes_further(struct answer_text *out, struct exchange *x, bool *served)
{
    bool here;
    enum failure why = forwarded_count(x, &here);
    if (why == FAILURE_NONE && !here)
        return true;
    if (why == FAILURE_NONE)
        why = answer_for_itself(x);
    *served = why == FAILURE_NONE && x->answer.failure == FAILURE_NONE;
    if (*served) {
        explain_tell(out, "answer", "204, as Max-Forwards lets the request go no further");
        explain_note(out, "status", x->answer.status);
    } else {
        explain_tell_failure(out, x, why != FAILURE_NONE ? why : x->answer.failure);
    }
    return false;
}

/* True: the route serves the request. */
bool explain_tell_plan(struct answer_text *out, const struct plan *plan, struct exchange *x,
                       const struct timeouts_config *timeouts)
{
    char line[1024];
    bool served;
    enum grpc_kind kind = grpc_request_kind(&x->request);
    out->bridged = plan->grpc_web && kind != GRPC_NONE;
    if (!before_filters(out, plan, x) || !tell_filters(out, plan, x) || !tell_body_limit(out, plan, x))
        return false;
    if (plan->action != NULL) {
        enum failure why = action_explain(plan->action, x, line, sizeof line);
        explain_tell(out, "action", line);
        if (why != FAILURE_NONE)
            explain_tell_failure(out, x, why);
        return why == FAILURE_NONE;
    }
    if (!goes_further(out, x, &served))
        return served;
    tell_timeouts(out, plan);
    if (plan->config->priority != PRIORITY_NORMAL)
        explain_tell(out, "priority", plan->config->priority == PRIORITY_HIGH ? "high" : "low");
    tell_kinds(out, plan, x, timeouts, kind);
    if (plan->mirror != NULL) {
        snprintf(line, sizeof line, "%llu%% of the requests to %s, answers are dropped",
                 (unsigned long long)plan->config->mirror->share, plan->mirror->name);
        explain_tell(out, "mirror", line);
    }
    const struct hedge_config *hedge = plan->config->hedge;
    static const char *const lates[] = {"90", "95", "99"};
    if (hedge != NULL && hedge->after != 0)
        snprintf(line, sizeof line, "after %llu ms", (unsigned long long)hedge->after);
    else if (hedge != NULL)
        snprintf(line, sizeof line, "later than %s of 100 answers", lates[hedge->at]);
    if (hedge != NULL)
        explain_tell(out, "hedge", line);
    const struct pool *chosen = tell_split(out, plan, x);
    if (out->as_json) {
        json_key(&out->json, "pools");
        json_array(&out->json);
    }
    for (size_t i = 0; i < plan->pools_count; i++)
        if (chosen == NULL || chosen == plan->pools[i])
            tell_pool(out, plan, i, timeouts);
    if (out->as_json)
        json_end_array(&out->json);
    return true;
}
