/*
 * What a browser can't do in gRPC, since it sees neither frames nor trailers, gRPC-Web writes into bodies;
 * bytes are http/grpc_web.c's, here are the heads and when what is changed. Cross-origin rules (CORS) are the
 * file's to say, by response fields and a route for OPTIONS.
 */
#include "proxy/grpc_bridge.h"

#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "http/accept.h"
#include "http/grpc.h"
#include "http/grpc_web.h"
#include "http/head.h"
#include "proxy/exchange_state.h"
#include "proxy/snapshot.h"

/* In the exchange's arena. */
struct grpc_bridge {
    struct base64_reader reader;   /* of the request */
    struct grpc_web_writer writer; /* of the response */
    struct span subtype;           /* of the request, for weir's own answers: "+proto" */
    bool text_request, text_response;
    bool is_grpc; /* the response is */
};

/* Its own wish, or the same as it sent. */
static bool wants_text(const struct fields *fields, enum grpc_kind kind)
{
    struct acceptance text = accept_of(fields, SPAN("application"), SPAN("grpc-web-text")),
                      bytes = accept_of(fields, SPAN("application"), SPAN("grpc-web"));
    bool takes_text = text.range == ACCEPT_NAMED && text.weight != 0,
         takes_bytes = bytes.range == ACCEPT_NAMED && bytes.weight != 0;
    if (takes_text && takes_bytes)
        return text.weight >= bytes.weight;
    return takes_text || (!takes_bytes && kind == GRPC_WEB_TEXT);
}

static struct span media_type(struct exchange_run *run, struct span subtype)
{
    return arena_print(run->exchange.arena, "application/grpc-web%s%.*s",
                       run->bridge->text_response ? "-text" : "", (int)subtype.length,
                       subtype.length != 0 ? subtype.at : "");
}

enum failure grpc_bridge_begin(struct exchange_run *run)
{
    struct exchange *x = &run->exchange;
    struct head *request = &x->request;
    struct span subtype = SPAN_NONE;
    enum grpc_kind kind = grpc_kind(&request->fields, &subtype);
    if (kind != GRPC_WEB && kind != GRPC_WEB_TEXT)
        return FAILURE_NONE;
    struct span type = arena_print(x->arena, "application/grpc%.*s", (int)subtype.length,
                                   subtype.length != 0 ? subtype.at : "");
    run->bridge = arena_get_zeroed(x->arena, sizeof *run->bridge);
    if (run->bridge == NULL || type.at == NULL)
        return FAILURE_OVERLOADED;
    run->bridge->subtype = subtype;
    run->bridge->text_request = kind == GRPC_WEB_TEXT;
    run->bridge->text_response = wants_text(&request->fields, kind);
    fields_find(&request->fields, FIELD_CONTENT_TYPE)->value = type;
    request->accepts_trailers = true;
    if (run->bridge->text_request && request->body_length != BODY_NONE) {
        request->body_length = BODY_OF_UNKNOWN_LENGTH;
        request->length_given = false;
    }
    return FAILURE_NONE;
}

enum failure grpc_bridge_request(struct exchange_run *run, struct buf *bytes, bool last)
{
    struct grpc_bridge *bridge = run->bridge;
    struct buf decoded = {0};
    if (!bridge->text_request)
        return FAILURE_NONE;
    enum failure why = grpc_web_decode(&bridge->reader, bytes, &decoded);
    if (why == FAILURE_NONE && last && !base64_is_whole(&bridge->reader))
        why = FAILURE_BAD_BODY;
    buf_move(bytes, &decoded);
    return why;
}

static bool is_status(const struct field *field)
{
    return field->id == FIELD_GRPC_STATUS || field->id == FIELD_GRPC_MESSAGE ||
           span_equal_nocase(field->name, SPAN("grpc-status-details-bin"));
}

/* Takes gRPC's status out of a head that is all there is. */
static enum failure move_status(struct exchange_run *run, struct buf *bytes)
{
    struct exchange *x = &run->exchange;
    struct fields *fields = &x->response.fields, status = {0};
    uint16_t kept = 0;
    for (uint16_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->items[i];
        if (!is_status(field))
            fields->items[kept++] = *field;
        else if (!fields_add(&status, x->arena, field->name, field->value, field->id))
            return FAILURE_OVERLOADED;
    }
    fields->count = kept;
    return grpc_bridge_trailers(run, &status, bytes);
}

enum failure grpc_bridge_head(struct exchange_run *run, bool last, struct buf *bytes)
{
    struct head *response = &run->exchange.response;
    struct span subtype = SPAN_NONE;
    run->bridge->is_grpc =
        grpc_kind(&response->fields, &subtype) == GRPC_PLAIN && response->line.response.status == 200;
    if (!run->bridge->is_grpc)
        return FAILURE_NONE;
    struct span type = media_type(run, subtype);
    if (type.at == NULL)
        return FAILURE_OVERLOADED;
    fields_find(&response->fields, FIELD_CONTENT_TYPE)->value = type;
    response->body_length = BODY_OF_UNKNOWN_LENGTH;
    response->length_given = false;
    return last ? move_status(run, bytes) : FAILURE_NONE;
}

enum failure grpc_bridge_response(struct exchange_run *run, struct buf *bytes, bool last)
{
    struct grpc_bridge *bridge = run->bridge;
    struct buf encoded = {0};
    if (!bridge->is_grpc || !bridge->text_response)
        return FAILURE_NONE;
    enum failure why = grpc_web_encode(&bridge->writer, bytes, last, &encoded);
    buf_move(bytes, &encoded);
    return why;
}

enum failure grpc_bridge_trailers(struct exchange_run *run, const struct fields *trailers, struct buf *bytes)
{
    struct grpc_bridge *bridge = run->bridge;
    struct buf none = {0};
    if (!bridge->is_grpc)
        return FAILURE_NONE;
    const struct field *status = fields_find(trailers, FIELD_GRPC_STATUS);
    if (status != NULL)
        run->grpc_status = status->value;
    /* A body that was cut inside a message has a group of base64 begun. */
    enum failure why =
        bridge->text_response ? grpc_web_encode(&bridge->writer, &none, true, bytes) : FAILURE_NONE;
    return why == FAILURE_NONE ? grpc_web_trailers(trailers, bridge->text_response, bytes) : why;
}

enum failure grpc_bridge_answer(struct exchange_run *run, const struct fields *trailers, struct buf *bytes)
{
    struct exchange *x = &run->exchange;
    struct span type = media_type(run, run->bridge->subtype);
    if (type.at == NULL ||
        !fields_add(&x->response.fields, x->arena, field_names[FIELD_CONTENT_TYPE], type, FIELD_CONTENT_TYPE))
        return FAILURE_OVERLOADED;
    run->bridge->is_grpc = true;
    return grpc_bridge_trailers(run, trailers, bytes);
}
