/* What a new file would change, and what that costs. schema_compare() finds the keys; the table below knows
 * what a reload does about each. */
#include "cli/compare.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/map.h"
#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "control/restart_keys.h"
#include "schema/schema.h"

enum change { ADDED = 1, REMOVED = 2, CHANGED = 4, ANY = 7, COUNTING = 8 /* of a route with in_flight */ };

#define NOT_COUNTED "requests in progress are no longer counted"

/* What a reload does about a change of what begins with `path`, names of items left out; the longest counts.
 * NULL: it costs nothing: the next request goes by the new value. */
static const struct {
    const char *path;
    unsigned changes;
    const char *cost;
} costs[] = {
    {"listeners", ADDED, "the address is opened"},
    {"listeners", REMOVED, "its connections are drained: each ends with the requests that are in progress"},
    {"listeners.tls", ANY,
     "connections that are open are drained and tunnels end, so that the rule holds for all"},
    {"listeners.tls.certificates", ANY,
     "new handshakes show the new certificate; connections that are open stay"},
    {"listeners.mode", CHANGED, "the permissions of the socket are changed"},
    {"listeners.proxy_protocol", CHANGED, "connections that are open are drained"},
    {"listeners.protocols", ANY, "connections that speak another one are drained"},
    {"pools", REMOVED, "requests in progress there end first; its health and counts are forgotten"},
    {"pools", ADDED, "its servers count as up until a probe says otherwise"},
    {"pools.servers", REMOVED, "requests in progress there end first"},
    {"pools.servers", ADDED, "a new server; where it stands elsewhere already, its health is known"},
    {"pools.servers.address", CHANGED, "this is another server"},
    {"pools.balance", CHANGED, "choices begin anew"},
    {"pools.hash", ANY, "keys move to other servers"},
    {"pools.sticky", ANY, "clients whose cookies no longer fit are sent to any server"},
    {"pools.sticky.secrets", CHANGED, "cookies signed with a secret that is gone are no longer believed"},
    {"pools.subset", ANY, "this weir uses other servers"},
    {"pools.tls", ANY, "connections to servers are made anew"},
    {"pools.protocol", CHANGED, "connections to servers are made anew"},
    {"rate_limits", REMOVED, "its counts are forgotten"},
    {"rate_limits.rate", CHANGED, "its counts begin anew"},
    {"rate_limits.burst", CHANGED, "its counts begin anew"},
    {"rate_limits.key", CHANGED, "its counts begin anew"},
    {"rate_limits.keys", CHANGED, "its counts begin anew"},
    {"rate_limits.ipv6_prefix", CHANGED, "its counts begin anew"},
    {"routes", REMOVED | COUNTING, NOT_COUNTED},
    {"routes.match", ANY, "other requests take this route"},
    {"routes.match", ANY | COUNTING, "other requests take this route, and " NOT_COUNTED},
    {"routes.in_flight.key", CHANGED, NOT_COUNTED},
    {"routes.in_flight.keys", CHANGED, NOT_COUNTED},
    {"routes.in_flight.ipv6_prefix", CHANGED, NOT_COUNTED},
    {"routes.split", ANY, "some clients move to another pool"},
    {"tls.ticket_lifetime", CHANGED, "tickets are made anew in time"},
    {"log", ANY, "the log goes there from the reload on"},
    {"access_log", ANY, "the access log goes there from the reload on"},
};

/* "pools[app].servers[10.0.0.1:80].weight" as "pools.servers.weight". */
static void path_plain(const char *path, char *plain, size_t room)
{
    unsigned depth = 0;
    for (; *path != '\0' && room > 1; path++) {
        depth += *path == '[';
        if (depth == 0) {
            *plain++ = *path;
            room--;
        }
        depth -= *path == ']' && depth > 0;
    }
    *plain = '\0';
}

static bool is_counting(const struct schema_difference *difference)
{
    const struct route_config *route = difference->item;
    return difference->of == &route_schema && route->in_flight != NULL;
}

static const char *cost_of(const struct schema_difference *difference, enum change change)
{
    char plain[256];
    const char *cost = NULL;
    size_t longest = 0;
    path_plain(difference->path, plain, sizeof plain);
    /* Routes of a listener are as those of the file. */
    if (change == CHANGED && restart_keys_have(plain))
        return "takes a restart";
    const char *at = strncmp(plain, "listeners.routes", 16) == 0 ? plain + 10 : plain;
    for (size_t i = 0; i < COUNT_OF(costs); i++) {
        size_t length = strlen(costs[i].path);
        bool begins = strncmp(at, costs[i].path, length) == 0 && (at[length] == '\0' || at[length] == '.');
        bool whole = at[length] == '\0';
        bool holds = (costs[i].changes & COUNTING) == 0 || is_counting(difference);
        bool any = (costs[i].changes & ANY) == ANY;
        /* An item that comes or goes is told where it stands; a key inside one is its change. */
        if (begins && holds && length >= longest && (costs[i].changes & (unsigned)change) != 0 &&
            (whole || any)) {
            cost = costs[i].cost;
            longest = length;
        }
    }
    return cost;
}

/* Sections of two levels at most, in one line: "path: [/x/], header: { x-a: 1, x-b: 2 }". */
static void lines_join(const char *lines, struct text *to)
{
    const char *before = " with ";
    size_t outer = strspn(lines, " ");
    for (bool inside = false; *lines != '\0'; lines += *lines == '\n') {
        size_t indentation = strspn(lines, " ");
        lines += indentation;
        size_t length = strcspn(lines, "\n");
        if (inside && indentation == outer)
            text_print(to, " }");
        text_print(to, "%s%.*s", before, (int)length, lines);
        inside = indentation != outer;
        before = length != 0 && lines[length - 1] == ':' ? " { " : ", ";
        lines += length;
        if (inside && *lines != '\0' && lines[1] == '\0')
            text_print(to, " }");
    }
}

/* A route without a name of its own is told from others by what it matches. */
static bool item_name(const struct schema *schema, const void *item, const struct schema_document *document,
                      struct text *to)
{
    if (schema != &route_schema)
        return false;
    const struct route_config *route = item;
    if (route->named) {
        text_add(to, span_of(document != NULL ? schema_written(document, route->name) : route->name));
        return true;
    }
    struct text match = text_growing();
    for (const struct schema_key *key = route_schema.keys; key->name != NULL; key++)
        if (strcmp(key->name, "match") == 0)
            schema_dump_key(key, route, document, &match);
    text_add(to, SPAN("a route"));
    const char *lines = match.length != 0 ? strchr(match.at, '\n') : NULL;
    if (lines != NULL && lines[1] != '\0')
        lines_join(lines + 1, to);
    text_free(&match);
    return true;
}

/* ---- the order of items, where it is a rule of its own ---- */

struct items {
    const struct schema *schema;
    const void *at; /* an array of them */
    size_t count;
    const struct schema_document *document;
    bool (*counts)(const void *item, unsigned kind); /* NULL: all do */
    unsigned kind;
};

static const void *item_at(const struct items *items, size_t i)
{
    return (const char *)items->at + i * items->schema->size;
}

static bool item_counts(const struct items *items, size_t i)
{
    return items->counts == NULL || items->counts(item_at(items, i), items->kind);
}

/* By which an item is known again, where document is NULL, and else how it is told. A server is known by its
 * address: that it is given a name meanwhile is no other server. */
static void item_print(const struct items *items, size_t i, const struct schema_document *document,
                       struct text *to)
{
    if (item_name(items->schema, item_at(items, i), document, to))
        return;
    const struct server_config *server = item_at(items, i);
    const char *name = document != NULL && server->name != NULL ? server->name : server->address;
    if (name != NULL)
        text_add(to, span_of(document != NULL ? schema_written(document, name) : name));
}

/* The first item that stands before one which it stood behind; false: the order is the same. */
static bool order_changed(const struct items *before, const struct items *after, struct text *what)
{
    struct map *places = map_new();
    size_t *numbers = calloc(before->count + 1, sizeof *numbers), last = 0, last_at = 0;
    bool changed = false;
    for (size_t i = 0; numbers != NULL && i < before->count; i++) {
        struct text name = text_growing();
        numbers[i] = i + 1;
        item_print(before, i, NULL, &name);
        if (item_counts(before, i))
            map_set(places, text_span(&name), &numbers[i]);
        text_free(&name);
    }
    for (size_t i = 0; !changed && i < after->count; i++) {
        struct text name = text_growing();
        item_print(after, i, NULL, &name);
        bool counted = name.length != 0 && item_counts(after, i);
        const size_t *place = counted ? map_get(places, text_span(&name)) : NULL;
        changed = place != NULL && *place < last;
        if (changed) {
            item_print(after, i, after->document, what);
            text_add(what, SPAN(" now stands behind "));
            item_print(after, last_at, after->document, what);
        } else if (place != NULL) {
            last = *place;
            last_at = i;
        }
        text_free(&name);
    }
    free(numbers);
    map_free(places);
    return changed;
}

/* ---- telling ---- */

struct teller {
    FILE *to;          /* for people, or */
    struct json *json; /* for programs, or */
    /* for programs that take sentences: */
    void (*line)(void *owner, const char *sentence);
    void *owner;
    unsigned counts[3];
};

static enum change change_of(const struct schema_difference *difference)
{
    if (!difference->is_item)
        return CHANGED;
    return difference->before == NULL ? ADDED : REMOVED;
}

static void tell_json(struct json *json, const char *kind, const char *path, const char *before,
                      const char *after, const char *cost)
{
    const struct {
        const char *key, *value;
    } parts[] = {{"kind", kind}, {"path", path}, {"before", before}, {"after", after}, {"cost", cost}};
    json_object(json);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        if (parts[i].value == NULL)
            continue;
        json_key(json, parts[i].key);
        json_string(json, span_of(parts[i].value));
    }
    json_end_object(json);
}

/* `rest` behind the path, with its colon, or NULL. */
static void tell_line(struct teller *teller, const char *kind, const char *path, const char *rest,
                      const char *cost)
{
    struct text sentence = text_growing();
    text_print(&sentence, "%s %s%s%s%s", kind, path, rest != NULL ? rest : "", cost != NULL ? "; " : "",
               cost != NULL ? cost : "");
    teller->line(teller->owner, sentence.at);
    text_free(&sentence);
}

static void tell(void *owner, const struct schema_difference *difference)
{
    static const struct {
        const char *kind, *mark;
    } kinds[] = {[ADDED] = {"added", "+"}, [REMOVED] = {"removed", "-"}, [CHANGED] = {"changed", "~"}};
    struct teller *teller = owner;
    enum change change = change_of(difference);
    const char *cost = cost_of(difference, change), *before = difference->before, *after = difference->after;
    struct text path = text_growing();
    text_add(&path, span_of(difference->path));
    if (change != CHANGED)
        text_print(&path, "[%s]", before != NULL ? before : after);
    if (change != CHANGED || strcmp(before, after) == 0) /* a secret, or longer than a line */
        before = after = NULL;
    teller->counts[change == CHANGED ? 2 : change - 1]++;
    if (teller->json != NULL) {
        tell_json(teller->json, kinds[change].kind, path.at, before, after, cost);
    } else if (teller->line != NULL) {
        struct text values = text_growing();
        if (before != NULL)
            text_print(&values, ": %s -> %s", before, after);
        tell_line(teller, kinds[change].kind, path.at, values.at, cost);
        text_free(&values);
    } else {
        fprintf(teller->to, "%s %s", kinds[change].mark, path.at);
        if (before != NULL)
            fprintf(teller->to, ": %s -> %s", before, after);
        fprintf(teller->to, "\n%s%s%s", cost != NULL ? "    " : "", cost != NULL ? cost : "",
                cost != NULL ? "\n" : "");
    }
    text_free(&path);
}

static void order_tell(struct teller *teller, const char *path, const struct items *before,
                       const struct items *after)
{
    const char *cost = before->schema == &route_schema ? "requests that both match take the other route"
                                                       : "requests go to the one before the other";
    struct text what = text_growing();
    if (order_changed(before, after, &what)) {
        teller->counts[2]++;
        if (teller->json != NULL)
            tell_json(teller->json, "reordered", path, NULL, what.at, cost);
        else if (teller->line != NULL)
            tell_line(teller, "changed", what.at, NULL, cost);
        else
            fprintf(teller->to, "~ %s: %s\n    %s\n", path, what.at, cost);
    }
    text_free(&what);
}

/* The name of a route that has none of its own says where it stands, which changes with every route before
 * it: it is left out of the comparison, and given back. */
static void names_take(struct route_config *routes, size_t count, struct texts *taken)
{
    taken->items = xrealloc(taken->items, (taken->count + count + 1) * sizeof *taken->items);
    for (size_t i = 0; i < count; i++) {
        taken->items[taken->count++] = routes[i].name;
        routes[i].name = routes[i].named ? routes[i].name : NULL;
    }
}

static void names_take_all(struct config *config, struct texts *taken)
{
    names_take(config->routes, config->routes_count, taken);
    for (size_t i = 0; i < config->listeners_count; i++)
        names_take(config->listeners[i].routes, config->listeners[i].routes_count, taken);
}

static void names_give(struct route_config *routes, size_t count, const char **names, size_t *at)
{
    for (size_t i = 0; i < count; i++)
        routes[i].name = names[(*at)++];
}

static void names_give_all(struct config *config, struct texts *taken)
{
    size_t at = 0;
    names_give(config->routes, config->routes_count, taken->items, &at);
    for (size_t i = 0; i < config->listeners_count; i++)
        names_give(config->listeners[i].routes, config->listeners[i].routes_count, taken->items, &at);
    free(taken->items);
}

static bool is_of_backup(const void *item, unsigned kind)
{
    return ((const struct server_config *)item)->backup == kind;
}

/* balance: first goes by the order of the servers of each kind, and those that stand by serve in theirs. */
static void servers_order_tell(struct teller *teller, const struct pool_config *before,
                               const struct schema_document *was, const struct pool_config *after,
                               const struct schema_document *is)
{
    bool first = before->balance == BALANCE_FIRST && after->balance == BALANCE_FIRST;
    struct text path = text_growing();
    text_print(&path, "pools[%s].servers", after->name);
    for (unsigned kind = first ? BACKUP_NOT : BACKUP_STANDBY; kind <= BACKUP_STANDBY; kind++)
        order_tell(
            teller, path.at,
            &(struct items){&server_schema, before->servers, before->servers_count, was, is_of_backup, kind},
            &(struct items){&server_schema, after->servers, after->servers_count, is, is_of_backup, kind});
    text_free(&path);
}

static void compare_all(const struct config *before, const struct config *after, struct teller *teller)
{
    const struct config_written *was = before->written, *is = after->written;
    struct texts was_names = {.count = 0}, is_names = {.count = 0};
    names_take_all(was->root, &was_names);
    names_take_all(is->root, &is_names);
    schema_compare(&config_schema, &(struct schema_side){was->root, was->document},
                   &(struct schema_side){is->root, is->document}, item_name, tell, teller);
    names_give_all(was->root, &was_names);
    names_give_all(is->root, &is_names);
    order_tell(teller, "routes",
               &(struct items){&route_schema, before->routes, before->routes_count, was->document, NULL, 0},
               &(struct items){&route_schema, after->routes, after->routes_count, is->document, NULL, 0});
    for (size_t i = 0; i < after->pools_count; i++) {
        const struct pool_config *old = config_pool(before, after->pools[i].name);
        if (old != NULL)
            servers_order_tell(teller, old, was->document, &after->pools[i], is->document);
    }
    for (size_t i = 0; i < after->listeners_count; i++)
        for (size_t j = 0; j < before->listeners_count; j++) {
            const struct listener_config *old = &before->listeners[j], *new = &after->listeners[i];
            if (old->address == NULL || new->address == NULL)
                continue; /* the text alone is compared, and they are not in it */
            struct text path = text_growing();
            text_print(&path, "listeners[%s].routes", schema_written(is->document, new->address));
            if (strcmp(old->address, new->address) == 0)
                order_tell(
                    teller, path.at,
                    &(struct items){&route_schema, old->routes, old->routes_count, was->document, NULL, 0},
                    &(struct items){&route_schema, new->routes, new->routes_count, is->document, NULL, 0});
            text_free(&path);
        }
}

static void sum_print(const struct teller *teller, struct text *to)
{
    if (teller->counts[0] + teller->counts[1] + teller->counts[2] == 0)
        text_print(to, "nothing would change");
    else
        text_print(to, "%u added, %u removed, %u changed", teller->counts[0], teller->counts[1],
                   teller->counts[2]);
}

void compare_print(const struct config *before, const struct config *after, FILE *to)
{
    struct teller teller = {.to = to};
    struct text sum = text_growing();
    compare_all(before, after, &teller);
    sum_print(&teller, &sum);
    fprintf(to, "%s\n", sum.at);
    text_free(&sum);
}

void compare_json(const struct config *before, const struct config *after, struct json *json)
{
    struct teller teller = {.json = json};
    json_array(json);
    compare_all(before, after, &teller);
    json_end_array(json);
}

void compare_lines(const struct config *before, const struct config *after,
                   void (*line)(void *owner, const char *sentence), void *owner)
{
    struct teller teller = {.line = line, .owner = owner};
    struct text sum = text_growing();
    compare_all(before, after, &teller);
    sum_print(&teller, &sum);
    line(owner, sum.at);
    text_free(&sum);
}
