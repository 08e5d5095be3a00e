/* Address rules: deny is looked at first, then, if anything is allowed by name, all others are denied. */
#include <stdio.h>
#include <stdlib.h>

#include "base/counters.h"
#include "base/error.h"
#include "filter/kinds.h"
#include "http/exchange.h"
#include "net/address.h"

struct access {
    struct networks allow, deny;
    uint16_t status;
};

static bool networks_new(struct networks *networks, const struct texts *texts, struct error *error)
{
    networks->items = xcalloc(texts->count + 1, sizeof *networks->items);
    for (networks->count = 0; networks->count < texts->count; networks->count++)
        if (!network_parse(&networks->items[networks->count], texts->items[networks->count], error))
            return false;
    return true;
}

static void access_dispose(struct filter *filter)
{
    struct access *access = filter->prepared;
    free(access->allow.items);
    free(access->deny.items);
    free(access);
}

static bool access_prepare(struct filter *filter, const struct route_config *route,
                           const struct config *config, struct limiter_set *limiters, struct error *error)
{
    (void)config;
    (void)limiters;
    if (route->access == NULL)
        return true;
    struct access *access = xcalloc(1, sizeof *access);
    filter->prepared = access;
    access->status = (uint16_t)route->access->status;
    return networks_new(&access->allow, &route->access->allow, error) &&
           networks_new(&access->deny, &route->access->deny, error);
}

static bool is_denied(const struct access *access, const struct ip_address *client)
{
    return networks_contain(&access->deny, client) ||
           (access->allow.count != 0 && !networks_contain(&access->allow, client));
}

static enum verdict access_request(const struct filter *filter, struct exchange *exchange)
{
    const struct access *access = filter->prepared;
    if (!is_denied(access, &exchange->client))
        return VERDICT_NEXT;
    counter_add(COUNTER_access_denied, 1);
    exchange->answer = (struct answer){.status = access->status, .failure = FAILURE_ACCESS_DENIED};
    return VERDICT_ANSWERED;
}

static void access_explain(const struct filter *filter, const struct exchange *exchange, char *line,
                           size_t room)
{
    const struct access *access = filter->prepared;
    bool denied = is_denied(access, &exchange->client);
    snprintf(line, room, denied ? "denied: the client's address gets %u" : "allowed (others get %u)",
             access->status);
}

const struct filter_kind filter_access = {
    .name = "access",
    .state = -1,
    .prepare = access_prepare,
    .dispose = access_dispose,
    .request = access_request,
    .ask = access_request,
    .explain = access_explain,
};
