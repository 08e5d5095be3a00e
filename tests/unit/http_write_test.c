/* Heads written anew: what was parsed, written and parsed again is the same, also when it is larger than a
 * block. */
#include "http/h1_write.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/block.h"
#include "base/buf.h"
#include "config/config.h"
#include "http/h1_parse.h"
#include "http/head.h"
#include "unit.h"

static const struct limits_config limits = {
    .request_head = 1 << 20, .request_line = 1 << 20, .fields = 1000, .response_head = 1 << 20};

static struct span flat(const struct buf *buf, struct arena *arena)
{
    char *at = arena_get_bytes(arena, buf->length + 1);
    assert_non_null(at);
    return span_make(at, buf_peek(buf, at, buf->length));
}

static void check_written(struct buf *out, const char *expected, struct arena *arena)
{
    assert_span(flat(out, arena), expected);
    buf_clear(out);
}

static void requests(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
        enum h1_framing framing;
    } cases[] = {
        {"GET /a?b HTTP/1.0\r\nhost:a.test\r\nx-A:  b \r\n\r\n",
         "GET /a?b HTTP/1.1\r\nHost: a.test\r\nx-A: b\r\n\r\n", H1_FRAMING_NONE},
        {"GET http://b.test? HTTP/1.1\r\nX: y\r\nHost: a.test\r\n\r\n",
         "GET /? HTTP/1.1\r\nHost: b.test\r\nX: y\r\n\r\n", H1_FRAMING_NONE},
        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 007\r\nA: 1\r\na: 2\r\n\r\n",
         "POST / HTTP/1.1\r\nHost: a\r\nA: 1\r\na: 2\r\nContent-Length: 7\r\n\r\n", H1_FRAMING_LENGTH},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", H1_FRAMING_CHUNKED},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", H1_FRAMING_NONE},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct arena *arena = arena_new(1 << 20);
        struct head head;
        struct head_check check;
        struct buf out = {.first = NULL};
        assert_int_equal(h1_parse_request(span_of(cases[i].in), &limits, arena, &head, &check), FAILURE_NONE);
        assert_true(h1_write_request(&out, &head, cases[i].framing));
        check_written(&out, cases[i].out, arena);
        arena_free(arena);
    }
}

/* However lines lay beside each other, and whichever of them went: what is written is each by itself. */
static void lines_in_any_company(void **state)
{
    (void)state;
    static const char *const forms[] = {"A: b", "AA:b", "A:  bb",  "Aa: b ", "A:\tb",
                                        "A-A:", "A: ",  "A: b\tc", "Keep: b"};
    static const char *const written[] = {"A: b",  "AA: b", "A: bb",   "Aa: b",  "A: b",
                                          "A-A: ", "A: ",   "A: b\tc", "Keep: b"};
    const size_t count = COUNT_OF(forms);
    for (size_t i = 0; i < count * count * count * count; i++) {
        size_t lines[] = {i % count, i / count % count, i / count / count % count, i / count / count / count};
        char raw[256] = "HTTP/1.1 200 OK\r\n", expected[256] = "HTTP/1.1 200 OK\r\n";
        struct arena *arena = arena_new(1 << 16);
        struct buf out = {.first = NULL};
        struct head head;
        struct head_check check;
        for (size_t k = 0; k < COUNT_OF(lines); k++) {
            strcat(strcat(raw, forms[lines[k]]), "\r\n");
            if (lines[k] % 2 == 0 || i % 3 != 0)
                strcat(strcat(expected, written[lines[k]]), "\r\n");
        }
        strcat(raw, "\r\n");
        strcat(expected, "Connection: close\r\n\r\n");
        assert_int_equal(h1_parse_response(span_of(raw), &limits, arena, &head, &check), FAILURE_NONE);
        uint16_t kept = 0;
        for (uint16_t k = 0; k < head.fields.count; k++)
            if (lines[k] % 2 == 0 || i % 3 != 0)
                head.fields.items[kept++] = head.fields.items[k];
        head.fields.count = kept;
        assert_true(h1_write_response(&out, &head, H1_FRAMING_NONE, H1_CONNECTION_CLOSE));
        check_written(&out, expected, arena);
        arena_free(arena);
    }
}

static void responses(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct head head = {.body_length = 18446744073709551ll, .upgrade = SPAN("websocket")};
    struct buf out = {.first = NULL};
    head.line.response.status = 101;
    head.line.response.reason = status_reason(101);
    assert_true(h1_write_response(&out, &head, H1_FRAMING_NONE, H1_CONNECTION_NONE));
    check_written(
        &out, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", arena);
    head.line.response.status = 426;
    head.line.response.reason = SPAN("");
    assert_true(h1_write_response(&out, &head, H1_FRAMING_NONE, H1_CONNECTION_CLOSE));
    check_written(&out,
                  "HTTP/1.1 426 \r\nConnection: close\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                  arena);
    head.upgrade = SPAN_NONE;
    head.line.response.status = 599;
    head.line.response.reason = status_reason(599);
    assert_true(fields_add(&head.fields, arena, SPAN("A"), SPAN(""), FIELD_OTHER));
    assert_true(h1_write_response(&out, &head, H1_FRAMING_LENGTH, H1_CONNECTION_CLOSE));
    check_written(&out,
                  "HTTP/1.1 599 \r\nA: \r\nContent-Length: 18446744073709551\r\nConnection: close\r\n\r\n",
                  arena);
    head.body_length = 0;
    assert_true(h1_write_response(&out, &head, H1_FRAMING_CHUNKED, H1_CONNECTION_KEEP_ALIVE));
    check_written(
        &out, "HTTP/1.1 599 \r\nA: \r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n", arena);
    assert_true(h1_write_response(&out, &head, H1_FRAMING_CLOSE, H1_CONNECTION_NONE));
    check_written(&out, "HTTP/1.1 599 \r\nA: \r\n\r\n", arena);
    arena_free(arena);
}

/* Field by field over sizes around that of a block; also into a buf whose last block has room. */
static void heads_larger_than_a_block(void **state)
{
    (void)state;
    for (size_t size = BLOCK_ROOM - 600; size < BLOCK_ROOM + 600; size += 37) {
        struct arena *arena = arena_new(1 << 20);
        struct head head = {.body_length = 5}, again;
        struct head_check check;
        struct buf out = {.first = NULL};
        head.line.response.status = 200;
        head.line.response.reason = SPAN("OK");
        char *value = arena_get_bytes(arena, size);
        memset(value, 'v', size);
        assert_true(fields_add(&head.fields, arena, SPAN("First"), SPAN("1"), FIELD_OTHER));
        assert_true(fields_add(&head.fields, arena, SPAN("X"), span_make(value, size), FIELD_OTHER));
        assert_true(fields_add(&head.fields, arena, SPAN("Last"), SPAN("2"), FIELD_OTHER));
        assert_true(buf_add(&out, "before", 6));
        assert_true(h1_write_response(&out, &head, H1_FRAMING_LENGTH, H1_CONNECTION_NONE));
        struct span bytes = flat(&out, arena);
        assert_int_equal(h1_parse_response(span_skip(bytes, 6), &limits, arena, &again, &check),
                         FAILURE_NONE);
        assert_int_equal(again.fields.count, 3);
        assert_int_equal(again.fields.items[1].value.length, size);
        assert_span(again.fields.items[2].value, "2");
        assert_int_equal(again.body_length, 5);
        buf_clear(&out);
        arena_free(arena);
    }
}

static void ends_of_chunked_bodies(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20);
    struct buf out = {.first = NULL};
    struct fields trailers = {.items = NULL};
    assert_true(h1_write_end(&out, NULL));
    check_written(&out, "0\r\n\r\n", arena);
    assert_true(h1_write_end(&out, &trailers));
    check_written(&out, "0\r\n\r\n", arena);
    assert_true(fields_add(&trailers, arena, SPAN("X-T"), SPAN("v"), FIELD_OTHER));
    assert_true(h1_write_end(&out, &trailers));
    check_written(&out, "0\r\nX-T: v\r\n\r\n", arena);
    assert_true(h1_write_chunk_size(&out, 0xfedcba98));
    check_written(&out, "fedcba98\r\n", arena);
    arena_free(arena);
}

static void copies_live_on(void **state)
{
    (void)state;
    struct arena *arena = arena_new(1 << 20), *other = arena_new(1 << 20);
    struct head head, copy;
    struct head_check check;
    char *raw = strdup(
        "GET http://b.test/x?y HTTP/1.1\r\nHost: a\r\nX-A: b\r\nConnection: upgrade\r\nUpgrade: c\r\n\r\n");
    assert_int_equal(h1_parse_request(span_of(raw), &limits, arena, &head, &check), FAILURE_NONE);
    assert_true(head_copy(&copy, &head, true, other));
    free(raw);
    arena_free(arena);
    struct buf out = {.first = NULL};
    assert_true(h1_write_request(&out, &copy, H1_FRAMING_NONE));
    check_written(
        &out,
        "GET /x?y HTTP/1.1\r\nHost: b.test\r\nX-A: b\r\nConnection: upgrade\r\nUpgrade: c\r\nConnection: upgrade\r\nUpgrade: c\r\n\r\n",
        other);
    assert_span(copy.line.request.scheme, "http");
    arena_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),
        cmocka_unit_test(lines_in_any_company),
        cmocka_unit_test(responses),
        cmocka_unit_test(heads_larger_than_a_block),
        cmocka_unit_test(ends_of_chunked_bodies),
        cmocka_unit_test(copies_live_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
