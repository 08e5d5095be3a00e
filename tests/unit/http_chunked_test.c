/* The chunked coding: taken apart and put together, at every split point, by every window. */
#include "http/h1_chunked.h"

#include <string.h>

#include "base/block.h"
#include "base/buf.h"
#include "http/h1_write.h"
#include "unit.h"

#define BODY_MOST 256

static void add(struct buf *buf, struct span bytes)
{
    assert_true(buf_add_span(buf, bytes));
}

/* Gives the reader the first `split` bytes, then the rest, taking at most `most` bytes of body a call. */
static enum h1_step read_split(struct span raw, size_t split, size_t most, char body[BODY_MOST],
                               size_t *length, size_t *rest)
{
    struct h1_chunked chunked = {.state = 0};
    struct buf in = {.first = NULL}, out = {.first = NULL};
    enum h1_step step = H1_MORE;
    for (unsigned piece = 0; piece < 2 && step == H1_MORE; piece++) {
        add(&in, piece == 0 ? span_first(raw, split) : span_skip(raw, split));
        size_t before;
        do {
            struct buf part = {.first = NULL};
            before = in.length;
            step = h1_chunked_read(&chunked, &in, &part, most);
            assert_true(part.length <= most);
            buf_move(&out, &part);
        } while (step == H1_MORE && in.length != before);
    }
    assert_true(out.length <= BODY_MOST);
    *length = buf_peek(&out, body, BODY_MOST);
    *rest = in.length;
    buf_clear(&in);
    buf_clear(&out);
    return step;
}

static void check_case(const char *raw, enum h1_step expected, const char *body, const char *behind)
{
    static const size_t windows[] = {1, 3, SIZE_MAX};
    struct span bytes = span_of(raw);
    for (size_t window = 0; window < COUNT_OF(windows); window++)
        for (size_t split = 0; split <= bytes.length; split++) {
            char got[BODY_MOST];
            size_t length, rest;
            enum h1_step step = read_split(bytes, split, windows[window], got, &length, &rest);
            if (step != expected)
                fail_msg("%s: split at %zu: step %d instead of %d", raw, split, (int)step, (int)expected);
            if (expected == H1_FAILED)
                continue;
            assert_span(span_make(got, length), body);
            if (split == bytes.length || expected == H1_MORE)
                assert_int_equal(rest, strlen(behind));
        }
}

static void good_bodies(void **state)
{
    (void)state;
    check_case("0\r\n", H1_DONE, "", "");
    check_case("5\r\nhello\r\n0\r\n\r\n", H1_DONE, "hello", "\r\n");
    check_case("5\r\nhello\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n", H1_DONE, "hello0123456789",
               "X: y\r\n\r\n");
    check_case("0005\r\nhello\r\n000\r\n", H1_DONE, "hello", "");
    check_case("0000000000000005\r\nhello\r\n0\r\n", H1_DONE, "hello", "");
    check_case("5;a=b;c\r\nhello\r\n0;d=e\r\n", H1_DONE, "hello", "");
    check_case("5;a=\"b;\\\"c\"\r\nhello\r\n0\r\n", H1_DONE, "hello", "");
    /* BWS, RFC 9112 7.1.1 */
    check_case("5 ;a\r\nhello\r\n5\t ;\tb\r\nworld\r\n0\r\n", H1_DONE, "helloworld", "");
    check_case("b\r\nhello\r\n0\r\n\r\r\n0\r\n", H1_DONE, "hello\r\n0\r\n\r", "");
    check_case("5\r\nhel", H1_MORE, "hel", "");
    check_case("5\r\nhello\r", H1_MORE, "hello", "");
    check_case("7fffffffffffffff\r\nx", H1_MORE, "x", "");
}

static void bad_bodies(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "0x5\r\nhello\r\n0\r\n",
        "+5\r\nhello\r\n",
        "-5\r\nhello\r\n",
        "-0\r\n\r\n",
        "0_5\r\nhello\r\n",
        "\t5\r\nhello\r\n",
        " 5\r\nhello\r\n",
        "5g\r\nhello\r\n",
        "\r\nhello\r\n",
        ";a=b\r\nhello\r\n",
        "5\x0b\r\nhello\r\n",
        "5.0\r\nhello\r\n",
        "\"5\"\r\nhello\r\n",
        "5;a\nhello\r\n0\r\n",
        "2;\nxx\r\n0\r\n",
        "5;a=\x01\r\nhello\r\n",
        "5;a=\x7f\r\nhello\r\n",
        "5\rXhello\r\n0\r\n",
        "5\nhello\r\n0\r\n",
        "5\r\nhello\n0\r\n",
        "5\r\nhelloXX0\r\n",
        "5\r\nhelloworld\r\n",
        "5\r\nhello\rX0\r\n",
        "5\r\nhello\r\n\r\n0\r\n",
        "0\n\n",
        "5\r\nhello\r\n0\n",
        "8000000000000000\r\nx",
        "ffffffffffffffff\r\nx",
        "10000000000000005\r\nhello\r\n",
        "00000000000000005\r\nhello\r\n",
        "5 \r\nhello\r\n0\r\n",
        "5 5\r\nhello\r\n",
        "5 \n",
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        check_case(bad[i], H1_FAILED, "", "");
    char got[BODY_MOST];
    size_t length, rest;
    assert_int_equal(read_split(SPAN("5\0\r\nhello\r\n"), 0, SIZE_MAX, got, &length, &rest), H1_FAILED);
    assert_int_equal(read_split(SPAN("5;\0\r\nhello\r\n"), 0, SIZE_MAX, got, &length, &rest), H1_FAILED);
}

static void extensions_are_bounded(void **state)
{
    (void)state;
    struct buf in = {.first = NULL}, out = {.first = NULL};
    struct h1_chunked chunked = {.state = 0};
    unsigned chunks = 0;
    for (;; chunks++) {
        add(&in, SPAN("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"));
        if (h1_chunked_read(&chunked, &in, &out, SIZE_MAX) == H1_FAILED)
            break;
        assert_true(chunks < 100000);
    }
    assert_in_range(chunks, 50, 1000);
    buf_clear(&in);
    buf_clear(&out);
    chunked = (struct h1_chunked){.state = 0};
    add(&in, SPAN("5;"));
    enum h1_step step = H1_MORE;
    for (unsigned i = 0; i < 100000 && step == H1_MORE; i++) {
        add(&in, SPAN("a"));
        step = h1_chunked_read(&chunked, &in, &out, SIZE_MAX);
    }
    assert_int_equal(step, H1_FAILED);
    buf_clear(&in);
}

/* What the writer makes, the reader takes; data is handed on in the blocks in which it came. */
static void written_chunks_are_read(void **state)
{
    (void)state;
    struct buf in = {.first = NULL}, out = {.first = NULL};
    char text[1000];
    size_t total = 0;
    memset(text, 'x', sizeof text);
    for (size_t size = 1; size < sizeof text; size = size * 3 + 1) {
        assert_true(h1_write_chunk_size(&in, size));
        add(&in, span_make(text, size));
        add(&in, SPAN("\r\n"));
        total += size;
    }
    assert_true(h1_write_end(&in, NULL));
    const struct block *block = in.first->block;
    struct h1_chunked chunked = {.state = 0};
    assert_int_equal(h1_chunked_read(&chunked, &in, &out, SIZE_MAX), H1_DONE);
    assert_int_equal(out.length, total);
    for (const struct slice *slice = out.first; slice != NULL; slice = slice->next)
        assert_ptr_equal(slice->block, block);
    assert_int_equal(in.length, 2);
    buf_clear(&in);
    buf_clear(&out);
}

/* What came in chunks of a byte lies together: neither a slice nor, after the first, a block for each. */
static void test_small_chunks_lie_together(void **state)
{
    (void)state;
    static const char chunk[] = "1;a=b\r\nx\r\n";
    enum { CHUNKS = 400, BLOCKS = 8 };
    struct h1_chunked chunked = {.state = 0};
    struct buf in = {.first = NULL}, out = {.first = NULL};
    for (unsigned i = 0; i < BLOCKS; i++) {
        struct block *block = block_take();
        assert_non_null(block);
        for (unsigned j = 0; j < CHUNKS; j++, block->used += sizeof chunk - 1) {
            memcpy(block->bytes + block->used, chunk, sizeof chunk);
            block->bytes[block->used + 7] = (char)('a' + (i * CHUNKS + j) % 26);
        }
        assert_true(buf_add_block(&in, block, block->bytes, block->used));
        block_release(block);
        assert_int_equal(h1_chunked_read(&chunked, &in, &out, SIZE_MAX), H1_MORE);
    }
    assert_int_equal(out.length, CHUNKS * BLOCKS);
    assert_ptr_equal(out.first, out.last);
    for (size_t i = 0; i < out.length; i++)
        assert_int_equal(out.first->at[i], 'a' + i % 26);
    assert_int_equal(block_pool_out(), 1);
    buf_clear(&out);
    buf_clear(&in);
}

/* Told without taking anything, wherever the decoder is and whatever stands behind. */
static void the_end_is_seen_ahead(void **state)
{
    (void)state;
    static const char body[] = "5;a=0\r\nhel\r\n\r\n3\r\n0\r\n\r\n0\r\nX: y\r\n\r\nGET /";
    size_t length = sizeof body - 1, last = (size_t)(strstr(body, "0\r\nX") + 3 - body);
    for (size_t taken = 0; taken < last; taken++) {
        for (size_t split = taken; split <= length; split++) {
            struct h1_chunked chunked = {.state = 0};
            struct buf in = {.first = NULL}, out = {.first = NULL};
            assert_true(buf_add(&in, body, taken));
            assert_int_equal(h1_chunked_read(&chunked, &in, &out, SIZE_MAX), H1_MORE);
            assert_true(buf_add_constant(&in, span_make(body + taken, split - taken)));
            assert_true(h1_chunked_ends_in(chunked, &in) == (split >= last));
            assert_int_equal(in.length, split - taken);
            assert_true(buf_add_constant(&in, span_make(body + split, length - split)));
            assert_true(h1_chunked_ends_in(chunked, &in));
            buf_clear(&in);
            buf_clear(&out);
        }
    }
    struct buf in = {.first = NULL};
    assert_true(buf_add_constant(&in, SPAN("5\r\nhelloXX0\r\n\r\n")));
    assert_false(h1_chunked_ends_in((struct h1_chunked){.state = 0}, &in));
    buf_clear(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_bodies),
        cmocka_unit_test(bad_bodies),
        cmocka_unit_test(extensions_are_bounded),
        cmocka_unit_test(written_chunks_are_read),
        cmocka_unit_test(test_small_chunks_lie_together),
        cmocka_unit_test(the_end_is_seen_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
