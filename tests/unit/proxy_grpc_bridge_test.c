/* gRPC-Web to gRPC and back: heads, bodies in pieces, trailers as a frame of the body. */
#include "proxy/grpc_bridge.h"

#include "base/arena.h"
#include "base/base64.h"
#include "http/exchange.h"
#include "proxy/exchange_state.h"
#include "recording_stream.h"

#define ARENA_CAP (1u << 16)

static struct exchange_run run;
static size_t blocks_out; /* before the test: one that failed has left its own */

static void run_begin(void)
{
    run = (struct exchange_run){.exchange = {.arena = arena_new(ARENA_CAP)}};
    assert_non_null(run.exchange.arena);
}

static int begin(void **state)
{
    (void)state;
    blocks_out = block_pool_out();
    run_begin();
    return 0;
}

static int end(void **state)
{
    (void)state;
    block_pool_configure(0, 256);
    arena_free(run.exchange.arena);
    assert_int_equal(block_pool_out(), blocks_out);
    return 0;
}

static void add(struct fields *fields, const char *name, const char *value)
{
    assert_true(
        fields_add(fields, run.exchange.arena, span_of(name), span_of(value), field_id(span_of(name))));
}

/* Of the arena's bytes no more than these are left. */
static void leave_room(size_t bytes)
{
    struct arena *arena = run.exchange.arena;
    assert_non_null(arena_get_bytes(arena, ARENA_CAP - arena_size(arena) - bytes));
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

static void a_text_request_without_a_body_stays_without(void **state)
{
    (void)state;
    struct head *request = &run.exchange.request;
    *request = (struct head){.body_length = BODY_NONE};
    add(&request->fields, "Content-Type", TEXT);
    assert_int_equal(grpc_bridge_begin(&run), FAILURE_NONE);
    assert_non_null(run.bridge);
    assert_int_equal(request->body_length, BODY_NONE);
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

static enum failure request_comes_with_room(const char *type, size_t room)
{
    struct head *request = &run.exchange.request;
    arena_free(run.exchange.arena);
    run_begin();
    add(&request->fields, "Content-Type", type);
    leave_room(room);
    return grpc_bridge_begin(&run);
}

/* Until there is room for all that is made of it; of one type more than for the rest. */
static void a_request_whose_arena_is_full_is_overloaded(void **state)
{
    (void)state;
#define LONG "+a-name-of-messages-that-is-longer-than-everything-else-which-is-kept-of-a-request-by-far"
    static const struct {
        const char *sent, *made;
    } types[] = {{BINARY, "application/grpc+proto"}, {"application/grpc-web" LONG, "application/grpc" LONG}};
#undef LONG
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        enum failure why = request_comes_with_room(types[i].sent, 0);
        assert_int_equal(why, FAILURE_OVERLOADED);
        for (size_t room = 1; why == FAILURE_OVERLOADED; room++)
            why = request_comes_with_room(types[i].sent, room);
        assert_int_equal(why, FAILURE_NONE);
        assert_non_null(run.bridge);
        assert_span(value_of(&run.exchange.request.fields, FIELD_CONTENT_TYPE), types[i].made);
    }
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
        {TEXT, "application/grpc-web;q=0", TEXT},
        {BINARY, "application/grpc-web-text;q=0", BINARY},
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
    run.exchange.response = (struct head){0};
    assert_int_equal(request_comes(TEXT, NULL), FAILURE_NONE);
    assert_int_equal(response_comes(status, type, false, &bytes), FAILURE_NONE);
    assert_span(value_of(&run.exchange.response.fields, FIELD_CONTENT_TYPE), type);
    assert_int_equal(run.exchange.response.body_length, 40);
    assert_true(run.exchange.response.length_given);
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
    response_stays(200, "application/grpc-web+proto"); /* the server speaks it itself */
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

static enum failure head_comes_with_room(size_t room, bool last, struct buf *bytes)
{
    struct fields *fields = &run.exchange.response.fields;
    arena_free(run.exchange.arena);
    run_begin();
    assert_int_equal(request_comes(BINARY, NULL), FAILURE_NONE);
    add(fields, "Content-Type", "application/grpc");
    if (last)
        add(fields, "grpc-status", "5");
    run.exchange.response.line.response.status = 200;
    leave_room(room);
    return grpc_bridge_head(&run, last, bytes);
}

static void head_is_overloaded_without_room(bool last, struct span body)
{
    struct buf bytes = {0};
    enum failure why = head_comes_with_room(0, last, &bytes);
    assert_int_equal(why, FAILURE_OVERLOADED);
    for (size_t room = 1; why == FAILURE_OVERLOADED; room++) {
        assert_true(buf_is_empty(&bytes));
        why = head_comes_with_room(room, last, &bytes);
    }
    assert_int_equal(why, FAILURE_NONE);
    assert_span(value_of(&run.exchange.response.fields, FIELD_CONTENT_TYPE), "application/grpc-web");
    expect_bytes(&bytes, body);
}

static void a_response_whose_arena_is_full_is_overloaded(void **state)
{
    (void)state;
    head_is_overloaded_without_room(false, SPAN_NONE);
    head_is_overloaded_without_room(true, SPAN("\x80\0\0\0\x10grpc-status: 5\r\n"));
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

/* Longer than a block: some of it may fit where all does not. */
static void long_trailers_without_blocks_to_be_had_are_overloaded(void **state)
{
    (void)state;
    static char message[20000];
    static const char *const types[] = {BINARY, TEXT};
    memset(message, 'm', sizeof message);
    struct field field = {.name = SPAN("grpc-message"), .value = span_make(message, sizeof message)};
    const struct fields trailers = {.items = &field, .count = 1, .room = 1};
    for (size_t i = 0; i < COUNT_OF(types); i++) {
        enum failure why = FAILURE_OVERLOADED;
        size_t frame = 5 + field.name.length + 2 + sizeof message + 2, blocks = 0;
        run.exchange.response = (struct head){0};
        call_begins(types[i]);
        for (size_t before = block_pool_out(); why == FAILURE_OVERLOADED; blocks++) {
            struct buf bytes = {0};
            block_pool_configure(before + blocks, 256);
            why = grpc_bridge_trailers(&run, &trailers, &bytes);
            if (why == FAILURE_NONE)
                assert_int_equal(bytes.length, i == 0 ? frame : BASE64_LENGTH(frame));
            buf_clear(&bytes);
            assert_int_equal(block_pool_out(), before);
        }
        assert_int_equal(why, FAILURE_NONE);
        assert_true(blocks > 2);
        block_pool_configure(0, 256);
    }
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

/* dated: a field of it has come before, and brought room for more. */
static enum failure answer_with_room(size_t room, bool dated, struct buf *bytes)
{
    arena_free(run.exchange.arena);
    run_begin();
    assert_int_equal(request_comes(BINARY, NULL), FAILURE_NONE);
    if (dated)
        add(&run.exchange.response.fields, "Date", "Sun, 06 Nov 1994 08:49:37 GMT");
    leave_room(room);
    return grpc_bridge_answer(&run, &status_trailers, bytes);
}

static void weirs_own_answer_whose_arena_is_full_is_overloaded(void **state)
{
    (void)state;
    for (unsigned dated = 0; dated < 2; dated++) {
        struct buf bytes = {0};
        enum failure why = answer_with_room(0, dated != 0, &bytes);
        assert_int_equal(why, FAILURE_OVERLOADED);
        for (size_t room = 1; why == FAILURE_OVERLOADED; room++) {
            assert_true(buf_is_empty(&bytes));
            why = answer_with_room(room, dated != 0, &bytes);
        }
        assert_int_equal(why, FAILURE_NONE);
        assert_span(value_of(&run.exchange.response.fields, FIELD_CONTENT_TYPE), BINARY);
        expect_bytes(&bytes, SPAN(STATUS_FRAME));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_binary_request_becomes_grpc_with_its_length),
        TEST(a_text_request_becomes_grpc_of_unknown_length),
        TEST(a_text_request_without_a_body_stays_without),
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
        TEST(a_response_whose_arena_is_full_is_overloaded),
        TEST(a_binary_answer_is_its_messages_and_a_frame_of_trailers),
        TEST(a_text_answer_is_the_same_wherever_it_is_split),
        TEST(a_text_answer_that_is_cut_inside_a_message_keeps_its_bytes),
        TEST(a_text_answer_without_trailers_ends_with_its_last_group),
        TEST(an_answer_without_a_block_to_be_had_is_overloaded),
        TEST(long_trailers_without_blocks_to_be_had_are_overloaded),
        TEST(weirs_own_answer_is_a_frame_of_trailers_in_the_clients_form),
        TEST(weirs_own_answer_whose_arena_is_full_is_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
