/*
 * What others get to see of random numbers tells nothing of the ones that come: ids of requests, the marks
 * that clients of a split are given and the keys that servers are asked with are the kernel's own bytes, each
 * once. A kernel that counts stands in its place.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/arena.h"
#include "base/base64.h"
#include "http/exchange.h"
#include "proxy/cookie.h"
#include "proxy/exchange_state.h"
#include "proxy/upgrade.h"
#include "proxy/worker.h"
#include "proxy_fixture.h"

#define NUMBERS 16384u /* that are given out at most */
#define TIMES 600u     /* more than are asked for at once */

static struct {
    uint64_t number;
    bool seen;
} given[NUMBERS];
static unsigned given_count;

/* Instead of the C library's. */
ssize_t getrandom(void *to, size_t size, unsigned flags)
{
    char *at = to;
    (void)flags;
    for (size_t done = 0; done < size; done += sizeof(uint64_t)) {
        uint64_t number = (given_count + 1) * UINT64_C(0x9e3779b97f4a7c15);
        size_t left = size - done < sizeof number ? size - done : sizeof number;
        if (given_count < NUMBERS)
            given[given_count++].number = number;
        memcpy(at + done, &number, left);
    }
    return (ssize_t)size;
}

static void must_be_given(uint64_t number, const char *what, unsigned time)
{
    for (unsigned i = 0; i < given_count; i++) {
        if (given[i].number != number)
            continue;
        if (given[i].seen)
            fail_msg("%s %u was there before", what, time);
        given[i].seen = true;
        return;
    }
    fail_msg("%s %u is none of the kernel's numbers", what, time);
}

static void ids_of_requests(void **state)
{
    (void)state;
    for (unsigned time = 0; time < TIMES; time++) {
        struct exchange x = {.arena = arena_new_malloc()};
        struct span id = exchange_request_id(&x);
        assert_int_equal(id.length, 32);
        for (size_t half = 0; half < 2; half++) {
            uint64_t number = 0;
            for (size_t i = 0; i < 16; i++) { /* the least first */
                char digit[2] = {id.at[half * 16 + i], '\0'};
                number |= (uint64_t)strtoul(digit, NULL, 16) << (i * 4);
            }
            must_be_given(number, "id", time);
        }
        arena_free(x.arena);
    }
}

static struct exchange_run *run_of(const struct snapshot *snapshot, size_t route)
{
    static struct exchange_run run;
    static struct worker worker;
    memset(&run, 0, sizeof run);
    memset(&worker, 0, sizeof worker);
    rng_seed(&worker.rng);
    run.worker = &worker;
    run.exchange.arena = arena_new_malloc();
    run.plan = &snapshot->plans[route];
    return &run;
}

static const char file[] =
    "listeners: [ \"127.0.0.1:21100\" ]\n"
    "routes:\n"
    "  - { pool: [ { name: a, weight: 1 }, { name: b, weight: 1 } ], split: { cookie: { name: s } } }\n"
    "pools: { a: { servers: [127.0.0.1:1] }, b: { servers: [127.0.0.1:2] } }\n";

static void marks_of_splits(void **state)
{
    for (unsigned time = 0; time < TIMES; time++) {
        struct exchange_run *run = run_of(*state, 0);
        assert_non_null(split_choose(run, run->plan));
        const struct field *cookie = fields_find(&run->exchange.response_fields, FIELD_SET_COOKIE);
        assert_non_null(cookie);
        assert_memory_equal(cookie->value.at, "s=", 2);
        must_be_given(strtoull(cookie->value.at + 2, NULL, 16), "mark", time);
        arena_free(run->exchange.arena);
    }
}

static void keys_of_websockets(void **state)
{
    for (unsigned time = 0; time < TIMES; time++) {
        struct exchange_run *run = run_of(*state, 0);
        struct base64_reader reader = {0};
        uint64_t bytes[3];
        size_t length;
        run->extended_connect = true;
        assert_int_equal(upgrade_check(run), FAILURE_NONE);
        const struct field *key = fields_find(&run->exchange.request.fields, FIELD_SEC_WEBSOCKET_KEY);
        assert_non_null(key);
        assert_true(base64_read(&reader, key->value.at, key->value.length, (char *)bytes, &length));
        assert_int_equal(length, 16);
        must_be_given(bytes[0], "key", time);
        must_be_given(bytes[1], "key", time);
        arena_free(run->exchange.arena);
    }
}

static struct shared_state *shared;

static int setup(void **state)
{
    shared = shared_state_new();
    *state = fixture_snapshot(file, shared);
    return 0;
}

static int teardown(void **state)
{
    snapshot_release(*state);
    shared_state_free(shared);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_requests),
        cmocka_unit_test(marks_of_splits),
        cmocka_unit_test(keys_of_websockets),
    };
    return cmocka_run_group_tests_name("unguessable", tests, setup, teardown);
}
