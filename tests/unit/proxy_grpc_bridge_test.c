/* gRPC-Web to gRPC and back: heads, bodies in pieces, trailers as a frame of the body. */
#include "proxy/grpc_bridge.h"

#include "base/arena.h"
#include "http/exchange.h"
#include "proxy/exchange_state.h"
#include "recording_stream.h"

static struct exchange_run run;

static int begin(void **state)
{
    (void)state;
    run = (struct exchange_run){.exchange = {.arena = arena_new(1 << 16)}};
    assert_non_null(run.exchange.arena);
    return 0;
}

static int end(void **state)
{
    (void)state;
    block_pool_configure(0, 256);
    arena_free(run.exchange.arena);
    assert_int_equal(block_pool_out(), 0);
    return 0;
}

static void add(struct fields *fields, const char *name, const char *value)
{
    assert_true(
        fields_add(fields, run.exchange.arena, span_of(name), span_of(value), field_id(span_of(name))));
}

static struct span value_of(const struct fields *fields, uint16_t id)
{
    const struct field *field = fields_find(fields, id);
    return field != NULL ? field->value : SPAN_NONE;
}

/* A request with a body of 12 bytes has come; accept: NULL for none. */
static enum failure request_comes(const char *type, const char *accept)
{
    struct head *request = &run.exchange.request;
    *request = (struct head){.body_length = 12, .length_given = true};
    add(&request->fields, "Content-Type", type);
    if (accept != NULL)
        add(&request->fields, "Accept", accept);
    return grpc_bridge_begin(&run);
}

/* The server's final head has come, of a body of unknown length. */
static enum failure response_comes(unsigned status, const char *type, bool last, struct buf *bytes)
{
    struct head *response = &run.exchange.response;
    if (response->fields.count == 0)
        *response = (struct head){.body_length = 40, .length_given = true};
    response->line.response.status = (uint16_t)status;
    add(&response->fields, "Content-Type", type);
    return grpc_bridge_head(&run, last, bytes);
}

static void call_begins(const char *type)
{
    struct buf none = {0};
    assert_int_equal(request_comes(type, NULL), FAILURE_NONE);
    assert_int_equal(response_comes(200, "application/grpc+proto", false, &none), FAILURE_NONE);
    assert_true(buf_is_empty(&none));
}

#define BINARY "application/grpc-web+proto"
#define TEXT "application/grpc-web-text+proto"

/* Messages of 2, 0 and 4 bytes, as bytes and as a browser sends them: in one text, or each in its own. */
#define MESSAGES "\0\0\0\0\2ab\0\0\0\0\0\1\0\0\0\4wxyz"
#define MESSAGES_AS_ONE_TEXT "AAAAAAJhYgAAAAAAAQAAAAR3eHl6"
#define MESSAGES_AS_THREE_TEXTS "AAAAAAJhYg==AAAAAAA=AQAAAAR3eHl6"
#define STATUS_FRAME "\x80\0\0\0\x10grpc-status: 0\r\n"
#define STATUS_FRAME_AS_TEXT "gAAAABBncnBjLXN0YXR1czogMA0K"

static struct field status_field = {.name = {"grpc-status", 11}, .value = {"0", 1}, .id = FIELD_GRPC_STATUS};
static const struct fields status_trailers = {.items = &status_field, .count = 1, .room = 1};

/* ---- the head of the request ---- */

static void a_binary_request_becomes_grpc_with_its_length(void **state)
{
    (void)state;
    assert_int_equal(request_comes(BINARY, NULL), FAILURE_NONE);
    const struct head *request = &run.exchange.request;
    assert_non_null(run.bridge);
    assert_span(value_of(&request->fields, FIELD_CONTENT_TYPE), "application/grpc+proto");
    assert_int_equal(request->body_length, 12);
    assert_true(request->length_given);
    assert_true(request->accepts_trailers); /* servers of gRPC want TE: trailers */
}

static void a_text_request_becomes_grpc_of_unknown_length(void **state)
{
    (void)state;
    assert_int_equal(request_comes("application/grpc-web-text", NULL), FAILURE_NONE);
    const struct head *request = &run.exchange.request;
    assert_span(value_of(&request->fields, FIELD_CONTENT_TYPE), "application/grpc");
    assert_int_equal(request->body_length, BODY_OF_UNKNOWN_LENGTH);
    assert_false(request->length_given);
}

static void a_request_of_another_type_is_left_alone(void **state)
{
    (void)state;
    static const char *const types[] = {"application/grpc+proto", "application/json"};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        assert_int_equal(request_comes(types[i], NULL), FAILURE_NONE);
        assert_null(run.bridge);
        assert_span(value_of(&run.exchange.request.fields, FIELD_CONTENT_TYPE), types[i]);
        assert_false(run.exchange.request.accepts_trailers);
    }
}

static void a_request_whose_arena_is_full_is_overloaded(void **state)
{
    (void)state;
    struct head *request = &run.exchange.request;
    add(&request->fields, "Content-Type", BINARY);
    while (arena_get_bytes(run.exchange.arena, 1) != NULL) {
    }
    assert_int_equal(grpc_bridge_begin(&run), FAILURE_OVERLOADED);
}

/* ---- the body of the request ---- */

/* The pieces go through one behind the other; what they become is appended to `to`. */
static enum failure request_piece(struct span piece, bool last, struct buf *to)
{
    struct buf bytes = buf_with(piece);
    enum failure why = grpc_bridge_request(&run, &bytes, last);
    buf_move(to, &bytes);
    return why;
}

static void a_binary_body_stays_as_it_is(void **state)
{
    (void)state;
    struct buf got = {0};
    assert_int_equal(request_comes(BINARY, NULL), FAILURE_NONE);
    assert_int_equal(request_piece(SPAN(MESSAGES), true, &got), FAILURE_NONE);
    expect_bytes(&got, SPAN(MESSAGES));
}

static void text_is_decoded_at_every_split(struct span text)
{
    for (size_t split = 0; split <= text.length; split++) {
        struct buf got = {0};
        assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
        assert_int_equal(request_piece(span_first(text, split), false, &got), FAILURE_NONE);
        assert_int_equal(request_piece(span_skip(text, split), true, &got), FAILURE_NONE);
        expect_bytes(&got, SPAN(MESSAGES));
    }
}

static void a_text_body_is_decoded_wherever_it_is_split(void **state)
{
    (void)state;
    text_is_decoded_at_every_split(SPAN(MESSAGES_AS_ONE_TEXT));
}

static void texts_with_padding_between_are_decoded_wherever_they_are_split(void **state)
{
    (void)state;
    text_is_decoded_at_every_split(SPAN(MESSAGES_AS_THREE_TEXTS));
}

static void a_text_body_is_decoded_byte_by_byte(void **state)
{
    (void)state;
    struct span text = SPAN(MESSAGES_AS_THREE_TEXTS);
    struct buf got = {0};
    assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
    for (; text.length != 0; text = span_skip(text, 1))
        assert_int_equal(request_piece(span_first(text, 1), text.length == 1, &got), FAILURE_NONE);
    expect_bytes(&got, SPAN(MESSAGES));
}

static void a_character_that_is_no_base64_fails_wherever_it_stands(void **state)
{
    (void)state;
    char text[] = MESSAGES_AS_ONE_TEXT;
    for (size_t at = 0; at < sizeof text - 1; at++) {
        struct buf got = {0};
        char right = text[at];
        text[at] = '*';
        assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
        enum failure why = request_piece(span_of(text), true, &got);
        buf_clear(&got);
        text[at] = right;
        if (why != FAILURE_BAD_BODY)
            fail_msg("'*' at %zu: %s instead of bad_body", at, failure_info[why].word);
    }
}

static void a_text_body_that_ends_inside_a_group_fails(void **state)
{
    (void)state;
    for (size_t length = 1; length < 4; length++) {
        struct buf got = {0};
        assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
        assert_int_equal(request_piece(span_first(SPAN("AAAA"), length), false, &got), FAILURE_NONE);
        assert_int_equal(request_piece(SPAN_NONE, true, &got), FAILURE_BAD_BODY);
        buf_clear(&got);
    }
}

static void a_text_body_without_a_block_to_be_had_is_overloaded(void **state)
{
    (void)state;
    assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
    struct buf bytes = buf_with(SPAN(MESSAGES_AS_ONE_TEXT));
    block_pool_configure(block_pool_out(), 256);
    assert_int_equal(grpc_bridge_request(&run, &bytes, false), FAILURE_OVERLOADED);
    assert_true(buf_is_empty(&bytes));
}

/* ---- the head of the response ---- */

static void a_response_of_grpc_becomes_what_the_client_sent(void **state)
{
    (void)state;
    call_begins(TEXT);
    const struct head *response = &run.exchange.response;
    assert_span(value_of(&response->fields, FIELD_CONTENT_TYPE), TEXT);
    assert_int_equal(response->body_length, BODY_OF_UNKNOWN_LENGTH);
    assert_false(response->length_given);
}

static void accept_decides_between_text_and_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *accept, *answer;
    } cases[] = {
        {BINARY, "application/grpc-web-text", TEXT},
        {TEXT, "application/grpc-web+proto", BINARY},
        {TEXT, "*/*", TEXT},
        {BINARY, "*/*", BINARY},
        {BINARY, "application/grpc-web-text, application/grpc-web", TEXT},
        {TEXT, "application/grpc-web-text;q=0.1, application/grpc-web", BINARY},
        {TEXT, "application/grpc-web-text;q=0", TEXT}, /* nothing that it takes: as it sent */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf none = {0};
        run.exchange.response = (struct head){0};
        assert_int_equal(request_comes(cases[i].sent, cases[i].accept), FAILURE_NONE);
        assert_int_equal(response_comes(200, "application/grpc+proto", false, &none), FAILURE_NONE);
        struct span got = value_of(&run.exchange.response.fields, FIELD_CONTENT_TYPE);
        if (!span_equal(got, span_of(cases[i].answer)))
            fail_msg("%s with Accept: %s is answered with %.*s, not %s", cases[i].sent, cases[i].accept,
                     (int)got.length, got.at, cases[i].answer);
    }
}

static void response_stays(unsigned status, const char *type)
{
    struct buf bytes = {0};
    assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
    assert_int_equal(response_comes(status, type, false, &bytes), FAILURE_NONE);
    assert_span(value_of(&run.exchange.response.fields, FIELD_CONTENT_TYPE), type);
    assert_int_equal(run.exchange.response.body_length, 40);
    bytes = buf_with(SPAN("a page"));
    assert_int_equal(grpc_bridge_response(&run, &bytes, true), FAILURE_NONE);
    expect_bytes(&bytes, SPAN("a page"));
    assert_int_equal(grpc_bridge_trailers(&run, &status_trailers, &bytes), FAILURE_NONE);
    assert_true(buf_is_empty(&bytes));
}

static void a_response_that_is_not_of_grpc_stays_as_it_is(void **state)
{
    (void)state;
    response_stays(200, "text/html");
}

static void a_response_with_another_status_than_200_stays_as_it_is(void **state)
{
    (void)state;
    response_stays(502, "application/grpc");
}

/* A page's script may not be shown the status among the fields. */
static void the_status_of_a_head_that_is_all_goes_to_the_body(void **state)
{
    (void)state;
    struct buf bytes = {0};
    struct fields *fields = &run.exchange.response.fields;
    assert_int_equal(request_comes(BINARY, NULL), FAILURE_NONE);
    add(fields, "Grpc-Status", "5");
    add(fields, "x-kept", "yes");
    add(fields, "grpc-message", "gone");
    add(fields, "Grpc-Status-Details-Bin", "CAU");
    assert_int_equal(response_comes(200, "application/grpc", true, &bytes), FAILURE_NONE);
    assert_int_equal(fields->count, 2);
    assert_span(fields->items[0].name, "x-kept");
    assert_span(value_of(fields, FIELD_CONTENT_TYPE), "application/grpc-web");
    assert_span(run.grpc_status, "5");
    expect_bytes(
        &bytes,
        SPAN("\x80\0\0\0\x42grpc-status: 5\r\ngrpc-message: gone\r\ngrpc-status-details-bin: CAU\r\n"));
}

/* ---- the body of the response ---- */

static void response_piece(struct span piece, bool last, struct buf *to)
{
    struct buf bytes = buf_with(piece);
    assert_int_equal(grpc_bridge_response(&run, &bytes, last), FAILURE_NONE);
    buf_move(to, &bytes);
}

static void trailers_come(struct buf *to)
{
    struct buf bytes = {0};
    assert_int_equal(grpc_bridge_trailers(&run, &status_trailers, &bytes), FAILURE_NONE);
    buf_move(to, &bytes);
}

static void a_binary_answer_is_its_messages_and_a_frame_of_trailers(void **state)
{
    (void)state;
    struct buf got = {0};
    call_begins(BINARY);
    response_piece(SPAN(MESSAGES), false, &got);
    trailers_come(&got);
    assert_span(run.grpc_status, "0");
    expect_bytes(&got, SPAN(MESSAGES STATUS_FRAME));
}

static void a_text_answer_is_the_same_wherever_it_is_split(void **state)
{
    (void)state;
    struct span messages = SPAN(MESSAGES);
    for (size_t split = 0; split <= messages.length; split++) {
        struct buf got = {0};
        run.exchange.response = (struct head){0};
        call_begins(TEXT);
        response_piece(span_first(messages, split), false, &got);
        response_piece(span_skip(messages, split), false, &got);
        trailers_come(&got);
        expect_bytes(&got, SPAN(MESSAGES_AS_THREE_TEXTS STATUS_FRAME_AS_TEXT));
    }
}

static void a_text_answer_that_is_cut_inside_a_message_keeps_its_bytes(void **state)
{
    (void)state;
    struct buf got = {0};
    call_begins(TEXT);
    response_piece(SPAN("\0\0\0\0\011a"), false, &got);
    response_piece(SPAN("b"), false, &got); /* of a group that has begun */
    trailers_come(&got);
    expect_bytes(&got, SPAN("AAAAAAlhYg==" STATUS_FRAME_AS_TEXT));
}

static void a_text_answer_without_trailers_ends_with_its_last_group(void **state)
{
    (void)state;
    struct buf got = {0};
    call_begins(TEXT);
    response_piece(SPAN("\0\0\0\0\011a"), false, &got);
    response_piece(SPAN("b"), true, &got);
    expect_bytes(&got, SPAN("AAAAAAlhYg=="));
}

static void an_answer_without_a_block_to_be_had_is_overloaded(void **state)
{
    (void)state;
    call_begins(TEXT);
    struct buf bytes = buf_with(SPAN(MESSAGES)), none = {0};
    block_pool_configure(block_pool_out(), 256);
    assert_int_equal(grpc_bridge_response(&run, &bytes, false), FAILURE_OVERLOADED);
    assert_true(buf_is_empty(&bytes));
    block_pool_configure(block_pool_out(), 256);
    assert_int_equal(grpc_bridge_trailers(&run, &status_trailers, &none), FAILURE_OVERLOADED);
    assert_true(buf_is_empty(&none));
}

/* ---- weir's own answer ---- */

static void weirs_own_answer_is_a_frame_of_trailers_in_the_clients_form(void **state)
{
    (void)state;
    const struct {
        const char *type;
        struct span body;
    } cases[] = {{BINARY, SPAN(STATUS_FRAME)}, {TEXT, SPAN(STATUS_FRAME_AS_TEXT)}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buf bytes = {0};
        run.exchange.response = (struct head){0};
        assert_int_equal(request_comes(cases[i].type, NULL), FAILURE_NONE);
        assert_int_equal(grpc_bridge_answer(&run, &status_trailers, &bytes), FAILURE_NONE);
        assert_span(value_of(&run.exchange.response.fields, FIELD_CONTENT_TYPE), cases[i].type);
        expect_bytes(&bytes, cases[i].body);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_binary_request_becomes_grpc_with_its_length),
        TEST(a_text_request_becomes_grpc_of_unknown_length),
        TEST(a_request_of_another_type_is_left_alone),
        TEST(a_request_whose_arena_is_full_is_overloaded),
        TEST(a_binary_body_stays_as_it_is),
        TEST(a_text_body_is_decoded_wherever_it_is_split),
        TEST(texts_with_padding_between_are_decoded_wherever_they_are_split),
        TEST(a_text_body_is_decoded_byte_by_byte),
        TEST(a_character_that_is_no_base64_fails_wherever_it_stands),
        TEST(a_text_body_that_ends_inside_a_group_fails),
        TEST(a_text_body_without_a_block_to_be_had_is_overloaded),
        TEST(a_response_of_grpc_becomes_what_the_client_sent),
        TEST(accept_decides_between_text_and_bytes),
        TEST(a_response_that_is_not_of_grpc_stays_as_it_is),
        TEST(a_response_with_another_status_than_200_stays_as_it_is),
        TEST(the_status_of_a_head_that_is_all_goes_to_the_body),
        TEST(a_binary_answer_is_its_messages_and_a_frame_of_trailers),
        TEST(a_text_answer_is_the_same_wherever_it_is_split),
        TEST(a_text_answer_that_is_cut_inside_a_message_keeps_its_bytes),
        TEST(a_text_answer_without_trailers_ends_with_its_last_group),
        TEST(an_answer_without_a_block_to_be_had_is_overloaded),
        TEST(weirs_own_answer_is_a_frame_of_trailers_in_the_clients_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
