/* Hashes, random numbers, the map and the counters. */
#include <pthread.h>
#include <stdio.h>

#include "base/counters.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/rng.h"
#include "unit.h"

static void test_siphash_known_values(void **state)
{
    (void)state;
    /* SipHash-1-3 of 00 01 02 ... under the key 00 .. 0f, as other implementations give it. */
    const uint64_t key[2] = {0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL};
    static const uint64_t known[] = {0xabac0158050fc4dcULL, 0xc9f49bf37d57ca93ULL, 0x82cb9b024dc7d44dULL,
                                     0x8bf80ab8e7ddf7fbULL};
    char bytes[16];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)i;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(hash_sip13(key, span_make(bytes, i)), known[i]);
    /* Each byte and the length count, at each length. */
    for (size_t length = 1; length < sizeof bytes; length++) {
        uint64_t before = hash_sip13(key, span_make(bytes, length));
        for (size_t i = 0; i < length; i++) {
            bytes[i] ^= 1;
            assert_int_not_equal(hash_sip13(key, span_make(bytes, length)), before);
            bytes[i] ^= 1;
        }
        assert_int_not_equal(hash_sip13(key, span_make(bytes, length + 1)), before);
    }
}

static void test_hash_keyed_chains(void **state)
{
    (void)state;
    hash_init();
    hash_init();
    assert_int_equal(hash_keyed(SPAN("a")), hash_keyed(SPAN("a")));
    assert_int_equal(hash_keyed_seed(SPAN("a"), 0), hash_keyed(SPAN("a")));
    uint64_t ab_c = hash_keyed_seed(SPAN("c"), hash_keyed(SPAN("ab")));
    uint64_t a_bc = hash_keyed_seed(SPAN("bc"), hash_keyed(SPAN("a")));
    assert_int_not_equal(ab_c, a_bc);
}

static void test_rng_is_even_and_repeatable(void **state)
{
    (void)state;
    /* The generator's own first outputs from the state 1, 2, 3, 4. */
    struct rng known = {.state = {1, 2, 3, 4}};
    assert_int_equal(rng_next(&known), 41943041);
    assert_int_equal(rng_next(&known), 58720359);
    assert_int_equal(rng_next(&known), 3588806011781223);
    assert_int_equal(rng_next(&known), 3591011842654386);
    struct rng a, b, c;
    rng_seed_with(&a, 1);
    rng_seed_with(&b, 1);
    rng_seed(&c);
    unsigned seen[10] = {0}, same = 0;
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t value = rng_next(&a);
        assert_int_equal(value, rng_next(&b));
        same += value == rng_next(&c);
        uint32_t below = rng_below(&c, 10);
        assert_true(below < 10);
        seen[below]++;
    }
    assert_int_equal(same, 0);
    for (unsigned i = 0; i < 10; i++)
        assert_true(seen[i] > 9400 && seen[i] < 10600);
    assert_int_equal(rng_below(&c, 1), 0);
    char secret[32] = {0}, other[32] = {0};
    random_secret(secret, sizeof secret);
    random_secret(other, sizeof other);
    assert_memory_not_equal(secret, other, sizeof secret);
}

/* Random sets and removals beside a plain array. */
static void test_map_against_a_model(void **state)
{
    (void)state;
    static int values[400];
    int *model[400] = {NULL};
    struct map *map = map_new();
    struct rng rng;
    rng_seed_with(&rng, 3);
    size_t count = 0;
    for (unsigned turn = 0; turn < 20000; turn++) {
        unsigned i = rng_below(&rng, 400);
        char key[8];
        int length = snprintf(key, sizeof key, "k%u", i);
        struct span span = span_make(key, (size_t)length);
        if (rng_below(&rng, 2) == 0) {
            count += model[i] == NULL;
            model[i] = &values[rng_below(&rng, 400)];
            map_set(map, span, model[i]);
        } else {
            count -= model[i] != NULL;
            assert_ptr_equal(map_remove(map, span), model[i]);
            model[i] = NULL;
        }
        memset(key, 0, sizeof key); /* keys are copied */
        assert_int_equal(map_count(map), count);
        unsigned j = rng_below(&rng, 400);
        length = snprintf(key, sizeof key, "k%u", j);
        assert_ptr_equal(map_get(map, span_make(key, (size_t)length)), model[j]);
    }
    size_t walked = 0;
    struct span key;
    void *value;
    for (size_t at = 0; map_next(map, &at, &key, &value); walked++)
        assert_ptr_equal(map_get(map, key), value);
    assert_int_equal(walked, count);
    map_set(map, SPAN(""), values);
    assert_ptr_equal(map_get(map, SPAN_NONE), values);
    map_free(map);
    map_free(NULL);
}

static void *count_in_thread(void *unused)
{
    (void)unused;
    counters_thread_enter();
    counters_thread_enter();
    for (unsigned i = 0; i < 1000; i++) {
        counter_add(COUNTER_requests, 1);
        counter_add(COUNTER_requests_active, i % 2 == 0 ? 1 : -1);
        counter_failure(5);
    }
    return NULL;
}

static void test_counters_sum_over_threads(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_in_thread, NULL), 0);
    for (unsigned i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    counter_add(COUNTER_requests, 5); /* a thread that never entered */
    assert_int_equal(counter_sum(COUNTER_requests), 3005);
    assert_int_equal(counter_sum(COUNTER_requests_active), 0);
    assert_int_equal(counter_failure_sum(5), 3000);
    assert_int_equal(counter_failure_sum(6), 0);
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        assert_non_null(counter_info[i].name);
        assert_true(strlen(counter_info[i].help) > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_siphash_known_values),       cmocka_unit_test(test_hash_keyed_chains),
        cmocka_unit_test(test_rng_is_even_and_repeatable), cmocka_unit_test(test_map_against_a_model),
        cmocka_unit_test(test_counters_sum_over_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
