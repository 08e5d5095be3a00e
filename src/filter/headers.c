/* Edits of fields: remove, set, add. What a filter sets is removed from the message first, so that nobody can
 * bring it along. Two kinds: request and response. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/error.h"
#include "config/config.h"
#include "config/field_names.h"
#include "filter/kinds.h"
#include "filter/location.h"
#include "http/exchange.h"
#include "http/template.h"

struct edit {
    struct span name;
    struct field_value value;
    bool set;
};
struct headers {
    size_t removes_count, edits_count;
    bool edits_credentials;
    bool keeps; /* templates of the route read headers, which are as they came */
    bool folds; /* requests may bring names that servers read as one that is edited */
    struct span *removes;
    struct edit *edits;
};

static bool edits_add(struct headers *headers, const struct name_values *pairs, bool set, struct error *error)
{
    for (size_t i = 0; i < pairs->count; i++) {
        struct edit *edit = &headers->edits[headers->edits_count];
        *edit = (struct edit){.name = span_of(pairs->items[i].name), .set = set};
        if (!field_value_new(&edit->value, pairs->items[i].name, pairs->items[i].value, error))
            return error_wrap(error, "%s", pairs->items[i].name);
        headers->edits_credentials =
            headers->edits_credentials || field_id(edit->name) == FIELD_AUTHORIZATION;
        headers->edits_count++;
    }
    return true;
}

static void headers_dispose(struct filter *filter)
{
    struct headers *headers = filter->prepared;
    for (size_t i = 0; i < headers->edits_count; i++)
        field_value_free(&headers->edits[i].value);
    free(headers->edits);
    free(headers->removes);
    free(headers);
}

static bool headers_prepare(struct filter *filter, const struct headers_config *config, bool folds,
                            struct error *error)
{
    if (config->set.count + config->add.count + config->remove.count == 0)
        return true;
    struct headers *headers = xcalloc(1, sizeof *headers);
    filter->prepared = headers;
    headers->folds = folds;
    headers->removes = xcalloc(config->remove.count + 1, sizeof *headers->removes);
    headers->edits = xcalloc(config->set.count + config->add.count + 1, sizeof *headers->edits);
    for (; headers->removes_count < config->remove.count; headers->removes_count++)
        headers->removes[headers->removes_count] = span_of(config->remove.items[headers->removes_count]);
    return edits_add(headers, &config->set, true, error) && edits_add(headers, &config->add, false, error);
}

static bool reads_fields(const char *template)
{
    return template != NULL && strstr(template, "${request.header.") != NULL;
}

static bool pairs_read_fields(const struct name_values *pairs)
{
    size_t i = 0;
    while (i < pairs->count && !reads_fields(pairs->items[i].value))
        i++;
    return i != pairs->count;
}

/* A template that is filled with these edits or after them. */
static bool route_reads_fields(const struct route_config *route)
{
    const struct headers_config *request = &route->request.headers, *response = &route->response.headers;
    const struct redirect_config *redirect = route->redirect;
    const struct respond_config *respond = route->respond;
    return pairs_read_fields(&request->set) || pairs_read_fields(&request->add) ||
           pairs_read_fields(&response->set) || pairs_read_fields(&response->add) ||
           (redirect != NULL &&
            (reads_fields(redirect->to) || reads_fields(redirect->host) || reads_fields(redirect->path))) ||
           (respond != NULL && (reads_fields(respond->body) || pairs_read_fields(&respond->headers)));
}

static bool request_prepare(struct filter *filter, const struct route_config *route,
                            const struct config *config, struct limiter_set *limiters, struct error *error)
{
    (void)limiters;
    bool fine = headers_prepare(filter, &route->request.headers, config->limits.underscore_names, error);
    if (filter->prepared != NULL)
        ((struct headers *)filter->prepared)->keeps = route_reads_fields(route);
    return fine;
}

static bool response_prepare(struct filter *filter, const struct route_config *route,
                             const struct config *config, struct limiter_set *limiters, struct error *error)
{
    (void)config;
    (void)limiters;
    return headers_prepare(filter, &route->response.headers, false, error);
}

/* What servers that fold names together (CGI: "_" is "-") would take for the name goes with it, where such
 * names come or weir itself writes one: none of a request shall stand beside what weir says. */
static void take_out(const struct headers *headers, struct fields *fields, struct span name, bool of_client)
{
    if (of_client && (headers->folds || !field_name_is_plain(name)))
        fields_remove_folded(fields, name);
    else
        fields_remove_name(fields, name);
}

/*
 * A value that is empty, or a Location that is none, is no field: nobody shall take for weir's word that it
 * has nothing to say. What a client brought under that name goes too, whichever edit it was; what a server
 * brought stays where something was to be added to it. False: the exchange's arena is used up.
 */
static bool headers_apply(const struct headers *headers, struct exchange *exchange, struct fields *fields,
                          bool of_client)
{
    for (size_t i = 0; i < headers->removes_count; i++)
        take_out(headers, fields, headers->removes[i], of_client);
    for (size_t i = 0; i < headers->edits_count; i++) {
        const struct edit *edit = &headers->edits[i];
        struct span value = SPAN("");
        enum failure why = field_value_fill(&edit->value, exchange, &value);
        bool empty = why == FAILURE_REWRITE_INVALID || (why == FAILURE_NONE && value.length == 0);
        if (edit->set || (empty && of_client))
            take_out(headers, fields, edit->name, of_client);
        if (empty)
            continue;
        if (why != FAILURE_NONE ||
            !fields_add(fields, exchange->arena, edit->name, value, field_id(edit->name)))
            return false;
    }
    return true;
}

static void trailers_edit(const struct headers *headers, struct fields *trailers, bool of_client)
{
    for (size_t i = 0; i < headers->removes_count; i++)
        take_out(headers, trailers, headers->removes[i], of_client);
    for (size_t i = 0; i < headers->edits_count; i++)
        if (headers->edits[i].set)
            take_out(headers, trailers, headers->edits[i].name, of_client);
}

static void request_trailers_edit(const struct filter *filter, struct fields *trailers)
{
    trailers_edit(filter->prepared, trailers, true);
}

static void response_trailers_edit(const struct filter *filter, struct fields *trailers)
{
    trailers_edit(filter->prepared, trailers, false);
}

/* False: the exchange's arena is used up. */
static bool fields_keep(struct exchange *exchange)
{
    const struct fields *fields = &exchange->request.fields;
    size_t size = fields->count * sizeof *fields->items;
    struct fields *came = arena_get(exchange->arena, sizeof *came + size);
    if (came == NULL)
        return false;
    *came =
        (struct fields){.items = (struct field *)(came + 1), .count = fields->count, .room = fields->count};
    if (size != 0)
        memcpy(came->items, fields->items, size);
    exchange->came_fields = came;
    return true;
}

static enum verdict request_edit(const struct filter *filter, struct exchange *exchange)
{
    const struct headers *headers = filter->prepared;
    exchange->request.has_credentials = exchange->request.has_credentials || headers->edits_credentials;
    if ((!headers->keeps || fields_keep(exchange)) &&
        headers_apply(headers, exchange, &exchange->request.fields, true))
        return VERDICT_NEXT;
    exchange->answer = (struct answer){.status = 503, .failure = FAILURE_OVERLOADED};
    return VERDICT_ANSWERED;
}

static bool response_edit(const struct filter *filter, struct exchange *exchange)
{
    return headers_apply(filter->prepared, exchange, &exchange->response.fields, false);
}

static void headers_explain(const struct filter *filter, const struct exchange *exchange, char *line,
                            size_t room)
{
    (void)exchange;
    const struct headers *headers = filter->prepared;
    size_t length = 0;
    for (size_t i = 0; i < headers->removes_count + headers->edits_count && length < room; i++) {
        bool remove = i < headers->removes_count;
        const struct edit *edit = remove ? NULL : &headers->edits[i - headers->removes_count];
        struct span name = remove ? headers->removes[i] : edit->name;
        int wrote = snprintf(line + length, room - length, "%s%s %.*s", i == 0 ? "" : ", ",
                             remove      ? "remove"
                             : edit->set ? "set"
                                         : "add",
                             (int)name.length, name.at);
        length += wrote > 0 ? (size_t)wrote : 0;
    }
}

const struct filter_kind filter_request_headers = {
    .name = "request.headers",
    .state = -1,
    .prepare = request_prepare,
    .dispose = headers_dispose,
    .request = request_edit,
    .request_trailers = request_trailers_edit,
    .ask = request_edit,
    .explain = headers_explain,
};
const struct filter_kind filter_response_headers = {
    .name = "response.headers",
    .state = -1,
    .prepare = response_prepare,
    .dispose = headers_dispose,
    .response = response_edit,
    .response_trailers = response_trailers_edit,
    .explain = headers_explain,
};
