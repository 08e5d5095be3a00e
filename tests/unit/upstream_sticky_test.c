/* Words of sticky sessions: there and back, every bit of them, their age on a clock of the test's own, and
 * secrets that change. */
#include <string.h>

#include "base/base64.h"
#include "tls/keyed_mac.h"
#include "unit.h"
#include "upstream/pool.h"
#include "upstream/sticky.h"

#define MINUTE UINT64_C(60000000)
#define NOW (UINT64_C(30000000) * MINUTE)
#define SERVERS 5

static struct server_config servers[SERVERS] = {{.address = "127.0.0.1:8001", .weight = 1},
                                                {.address = "127.0.0.1:8002", .weight = 1},
                                                {.address = "127.0.0.1:8003", .weight = 0},
                                                {.address = "unix:/run/four", .weight = 1},
                                                {.address = "127.0.0.1:8005", .weight = 1, .name = "five"}};
static const char *secrets[] = {"the first secret of all", "the second, older secret"};

struct bench {
    struct sticky_config sticky;
    struct pool_config config;
    struct server_set *set;
    struct pool *pool;
};

/* A pool with so many servers, and secrets from `first` on. */
static void bench_begin(struct bench *bench, const char *name, size_t count, size_t first,
                        size_t secrets_count, uint64_t max_age_ms)
{
    struct error error = {""};
    *bench = (struct bench){.set = server_set_new()};
    bench->sticky = (struct sticky_config){.cookie = {.path = "/", .max_age = max_age_ms},
                                           .secrets = {.items = secrets + first, .count = secrets_count}};
    bench->config = (struct pool_config){
        .name = name, .servers = servers, .servers_count = count, .sticky = &bench->sticky};
    bench->pool = pool_new(&bench->config, 0, &(struct pool_sources){.servers = bench->set}, &error);
    if (bench->pool == NULL)
        fail_msg("%s", error.text);
}

static void bench_end(struct bench *bench)
{
    pool_free(bench->pool);
    server_set_free(bench->set);
}

static struct span give(const struct bench *bench, size_t server, uint64_t now_us, char word[STICKY_LENGTH])
{
    assert_true(sticky_write(bench->pool->sticky, bench->pool->servers[server].server, now_us, word));
    return span_make(word, STICKY_LENGTH);
}

static const char *read_name(const struct bench *bench, struct span word, uint64_t now_us, bool *renew)
{
    *renew = false;
    struct server *server = sticky_read(bench->pool->sticky, word, now_us, renew);
    return server != NULL ? server->name : "nobody";
}

static void macs_are_those_of_the_standard(void **state)
{
    (void)state;
    /* RFC 4231 4.3, in three parts */
    static const unsigned char expected[] = {0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24,
                                             0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27,
                                             0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43};
    const struct span parts[] = {SPAN("what do ya"), SPAN(""), SPAN(" want for nothing?")};
    unsigned char made[KEYED_MAC_LENGTH];
    struct keyed_mac *mac = keyed_mac_new(SPAN("Jefe"));
    assert_non_null(mac);
    for (unsigned again = 0; again < 2; again++) {
        assert_true(keyed_mac_make(mac, parts, COUNT_OF(parts), made));
        assert_memory_equal(made, expected, sizeof expected);
    }
    assert_true(keyed_mac_equal(made, expected, sizeof expected));
    made[31] ^= 1;
    assert_false(keyed_mac_equal(made, expected, sizeof expected));
    keyed_mac_free(mac);
}

static void words_lead_back_to_their_server(void **state)
{
    (void)state;
    struct bench bench;
    char word[STICKY_LENGTH];
    bool renew;
    bench_begin(&bench, "app", SERVERS, 0, 1, 0);
    for (size_t i = 0; i < SERVERS; i++) {
        struct span given = give(&bench, i, NOW, word);
        assert_string_equal(read_name(&bench, given, NOW + 1000000 * MINUTE, &renew),
                            bench.pool->servers[i].server->name);
        assert_false(renew);
    }
    bench_end(&bench);
}

static void no_bit_can_be_changed(void **state)
{
    (void)state;
    struct bench bench;
    char word[STICKY_LENGTH], forged[STICKY_LENGTH];
    unsigned char bytes[STICKY_LENGTH];
    size_t length = 0;
    bool renew;
    struct base64_reader reader = {0};
    bench_begin(&bench, "app", SERVERS, 0, 2, 0);
    struct span given = give(&bench, 1, NOW, word);
    assert_true(base64_read(&reader, given.at, given.length, bytes, &length));
    for (size_t bit = 0; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
        assert_int_equal(base64_encode(bytes, length, forged), STICKY_LENGTH);
        assert_string_equal(read_name(&bench, span_make(forged, STICKY_LENGTH), NOW, &renew), "nobody");
        bytes[bit / 8] ^= (unsigned char)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < STICKY_LENGTH; cut++)
        assert_string_equal(read_name(&bench, span_first(given, cut), NOW, &renew), "nobody");
    assert_string_equal(read_name(&bench, given, NOW, &renew), "127.0.0.1:8002");
    bench_end(&bench);
}

static void words_age(void **state)
{
    (void)state;
    struct bench bench;
    char word[STICKY_LENGTH];
    bool renew;
    bench_begin(&bench, "app", SERVERS, 0, 1, 60 * 60000); /* an hour */
    struct span given = give(&bench, 0, NOW, word);
    assert_string_equal(read_name(&bench, given, NOW + 30 * MINUTE, &renew), "127.0.0.1:8001");
    assert_false(renew);
    assert_string_equal(read_name(&bench, given, NOW + 31 * MINUTE, &renew), "127.0.0.1:8001");
    assert_true(renew);
    assert_string_equal(read_name(&bench, given, NOW + 60 * MINUTE, &renew), "127.0.0.1:8001");
    assert_string_equal(read_name(&bench, given, NOW + 61 * MINUTE, &renew), "nobody");
    /* Another machine's clock may be ahead. */
    assert_string_equal(read_name(&bench, given, NOW - 5 * MINUTE, &renew), "127.0.0.1:8001");
    bench_end(&bench);
}

static void secrets_change_and_pools_differ(void **state)
{
    (void)state;
    struct bench old, both, new, other, small;
    char word[STICKY_LENGTH], renewed[STICKY_LENGTH];
    bool renew;
    bench_begin(&old, "app", SERVERS, 1, 1, 0);
    bench_begin(&both, "app", SERVERS, 0, 2, 0);
    bench_begin(&new, "app", SERVERS, 0, 1, 0);
    bench_begin(&other, "api", SERVERS, 1, 1, 0);
    bench_begin(&small, "app", SERVERS - 1, 1, 1, 0);
    struct span given = give(&old, 4, NOW, word);
    assert_string_equal(read_name(&both, given, NOW, &renew), "five");
    assert_true(renew); /* with the secret that signs now */
    assert_string_equal(read_name(&new, given, NOW, &renew), "nobody");
    assert_string_equal(read_name(&other, given, NOW, &renew), "nobody");
    assert_string_equal(read_name(&small, given, NOW, &renew), "nobody"); /* it has left the pool */
    struct span again = give(&both, 4, NOW, renewed);
    assert_string_equal(read_name(&both, again, NOW, &renew), "five");
    assert_false(renew);
    assert_string_equal(read_name(&new, again, NOW, &renew), "five");
    /* Pools of one host must not take each other's cookies. */
    assert_false(span_equal(sticky_cookie(old.pool->sticky), sticky_cookie(other.pool->sticky)));
    assert_true(span_equal(sticky_cookie(old.pool->sticky), sticky_cookie(new.pool->sticky)));
    struct bench *benches[] = {&old, &both, &new, &other, &small};
    for (size_t i = 0; i < COUNT_OF(benches); i++)
        bench_end(benches[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(macs_are_those_of_the_standard),  cmocka_unit_test(words_lead_back_to_their_server),
        cmocka_unit_test(no_bit_can_be_changed),           cmocka_unit_test(words_age),
        cmocka_unit_test(secrets_change_and_pools_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
