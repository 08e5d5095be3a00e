#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "http/grpc_web.h"
#include "http/head.h"

static struct buf buf_of(const void *bytes, size_t length)
{
    struct buf buf = {0};
    assert_true(length == 0 || buf_add(&buf, bytes, length));
    return buf;
}

static void assert_buf(struct buf *buf, const void *bytes, size_t length)
{
    assert_int_equal(buf->length, length);
    char *got = malloc(length + 1);
    assert_int_equal(buf_peek(buf, got, length), length);
    if (length != 0)
        assert_memory_equal(got, bytes, length);
    free(got);
    buf_clear(buf);
}

/* Messages of 2, 0, and 4 bytes; each is whole in base64. */
static const char messages[] = "\0\0\0\0\2ab\0\0\0\0\0\1\0\0\0\4wxyz";
static const char messages_text[] = "AAAAAAJhYg==AAAAAAA=AQAAAAR3eHl6";
enum { MESSAGES = sizeof messages - 1, TEXT = sizeof messages_text - 1 };

static void test_encode_at_every_split(void **state)
{
    (void)state;
    for (size_t split = 0; split <= MESSAGES; split++) {
        struct grpc_web_writer writer = {0};
        struct buf first = buf_of(messages, split), second = buf_of(messages + split, MESSAGES - split),
                   to = {0};
        assert_int_equal(grpc_web_encode(&writer, &first, false, &to), FAILURE_NONE);
        /* What is whole has gone: a reader waits for no message that weir has. */
        size_t whole = split < 7 ? 0 : split < 12 ? 12 : split < MESSAGES ? 20 : TEXT;
        assert_true(to.length >= whole);
        assert_int_equal(grpc_web_encode(&writer, &second, false, &to), FAILURE_NONE);
        assert_true(buf_is_empty(&first) && buf_is_empty(&second));
        assert_buf(&to, messages_text, TEXT);
    }
}

static void test_encode_byte_by_byte(void **state)
{
    (void)state;
    struct grpc_web_writer writer = {0};
    struct buf to = {0};
    for (size_t i = 0; i < MESSAGES; i++) {
        struct buf one = buf_of(messages + i, 1);
        assert_int_equal(grpc_web_encode(&writer, &one, i == MESSAGES - 1, &to), FAILURE_NONE);
    }
    assert_buf(&to, messages_text, TEXT);
}

/* A body that ends inside a message is handed on as it is. */
static void test_encode_a_cut_message(void **state)
{
    (void)state;
    struct grpc_web_writer writer = {0};
    struct buf from = buf_of("\0\0\0\0\011a", 6), to = {0}, none = {0};
    assert_int_equal(grpc_web_encode(&writer, &from, false, &to), FAILURE_NONE);
    assert_int_equal(grpc_web_encode(&writer, &none, true, &to), FAILURE_NONE);
    assert_buf(&to, "AAAAAAlh", 8);
}

static void test_decode_at_every_split(void **state)
{
    (void)state;
    for (size_t split = 0; split <= TEXT; split++) {
        struct base64_reader reader = {0};
        struct buf first = buf_of(messages_text, split), second = buf_of(messages_text + split, TEXT - split),
                   to = {0};
        assert_int_equal(grpc_web_decode(&reader, &first, &to), FAILURE_NONE);
        assert_int_equal(grpc_web_decode(&reader, &second, &to), FAILURE_NONE);
        assert_true(base64_is_whole(&reader));
        assert_buf(&to, messages, MESSAGES);
    }
    struct base64_reader reader = {0};
    struct buf wrong = buf_of("AAAA\nAAA", 8), to = {0};
    assert_int_equal(grpc_web_decode(&reader, &wrong, &to), FAILURE_BAD_BODY);
    assert_true(buf_is_empty(&wrong));
    buf_clear(&to);
}

/* There and back over sizes around the pieces and blocks that either side works in. */
static void test_large_messages(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3066, 3067, 3068, 16379, 16384, 70000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t size = sizes[i] + 5;
        char *message = malloc(size);
        for (size_t k = 0; k < size; k++)
            message[k] = (char)(k * 7 + k / 251);
        const char prefix[] = {0, 0, (char)(sizes[i] >> 16), (char)(sizes[i] >> 8), (char)sizes[i]};
        memcpy(message, prefix, sizeof prefix);
        struct grpc_web_writer writer = {0};
        struct base64_reader reader = {0};
        struct buf from = buf_of(message, size), text = {0}, back = {0};
        assert_int_equal(grpc_web_encode(&writer, &from, false, &text), FAILURE_NONE);
        assert_int_equal(text.length, BASE64_LENGTH(size));
        assert_int_equal(grpc_web_decode(&reader, &text, &back), FAILURE_NONE);
        assert_true(base64_is_whole(&reader));
        assert_buf(&back, message, size);
        free(message);
    }
}

static void test_trailers(void **state)
{
    (void)state;
    struct field items[] = {{.name = SPAN("Grpc-Status"), .value = SPAN("5")},
                            {.name = SPAN("x-empty"), .value = SPAN("")}};
    struct fields trailers = {.items = items, .count = 2, .room = 2};
    static const char frame[] = "\x80\0\0\0\x1bgrpc-status: 5\r\nx-empty: \r\n";
    struct buf to = {0};
    assert_int_equal(grpc_web_trailers(&trailers, false, &to), FAILURE_NONE);
    assert_buf(&to, frame, sizeof frame - 1);
    assert_int_equal(grpc_web_trailers(&trailers, true, &to), FAILURE_NONE);
    assert_buf(&to, "gAAAABtncnBjLXN0YXR1czogNQ0KeC1lbXB0eTogDQo=", 44);
    struct fields none = {0};
    assert_int_equal(grpc_web_trailers(&none, false, &to), FAILURE_NONE);
    assert_buf(&to, "\x80\0\0\0\0", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode_at_every_split), cmocka_unit_test(test_encode_byte_by_byte),
        cmocka_unit_test(test_encode_a_cut_message),  cmocka_unit_test(test_decode_at_every_split),
        cmocka_unit_test(test_large_messages),        cmocka_unit_test(test_trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
