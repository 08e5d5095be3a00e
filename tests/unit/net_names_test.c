/* Names: found side by side, each once, with an end to the wait. The system's resolver is played here. */
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "net/names.h"
#include "unit.h"

static _Atomic unsigned asked, asked_at_once, most_at_once;

/* "late.*" takes 100 ms, "never.*" 2 s, "no.*" is not found; anything else is 192.0.2.1. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found)
{
    (void)hints;
    unsigned now = atomic_fetch_add(&asked_at_once, 1) + 1;
    if (now > atomic_load(&most_at_once))
        atomic_store(&most_at_once, now);
    atomic_fetch_add(&asked, 1);
    if (strncmp(name, "late.", 5) == 0)
        usleep(100000);
    if (strncmp(name, "never.", 6) == 0)
        usleep(3500000);
    atomic_fetch_sub(&asked_at_once, 1);
    if (strncmp(name, "no.", 3) == 0)
        return EAI_NONAME;
    struct {
        struct addrinfo info;
        struct sockaddr_in address;
    } *one = calloc(1, sizeof *one);
    one->address.sin_family = AF_INET;
    one->address.sin_port = htons((uint16_t)atoi(service));
    one->address.sin_addr.s_addr = htonl(0xc0000201);
    one->info.ai_addr = (struct sockaddr *)&one->address;
    one->info.ai_addrlen = sizeof one->address;
    *found = &one->info;
    return 0;
}

void freeaddrinfo(struct addrinfo *found)
{
    free(found);
}

static const char *text_of(const struct names *names, const char *name)
{
    static char text[ADDRESS_TEXT_MAX];
    struct address address;
    struct error error;
    if (names_find(names, &address, 1, name, &error) == 0)
        return "";
    (void)address_print(&address, text);
    return text;
}

static int begin(void **state)
{
    (void)state;
    atomic_store(&asked, 0);
    atomic_store(&most_at_once, 0);
    return 0;
}

static void test_literals_need_nobody(void **state)
{
    (void)state;
    struct names *names = names_new();
    struct error error;
    names_want(names, "127.0.0.1:80");
    names_want(names, "[::1]:80");
    names_want(names, "unix:/run/x.sock");
    assert_true(names_resolve(names, 100, NULL, &error));
    assert_int_equal(atomic_load(&asked), 0);
    assert_string_equal(text_of(names, "127.0.0.1:80"), "127.0.0.1:80");
    names_free(names);
}

static void test_each_is_asked_once_and_side_by_side(void **state)
{
    (void)state;
    struct names *names = names_new();
    struct error error;
    char name[32];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(name, sizeof name, "late.%u.test:80", i / 2);
        names_want(names, name);
    }
    assert_true(names_resolve(names, 30000, NULL, &error));
    assert_int_equal(atomic_load(&asked), 20);
    assert_true(atomic_load(&most_at_once) > 1);
    assert_string_equal(text_of(names, "late.7.test:80"), "192.0.2.1:80");
    names_free(names);
}

static void test_what_is_not_found_is_told(void **state)
{
    (void)state;
    struct names *names = names_new();
    struct error error;
    names_want(names, "yes.test:80");
    names_want(names, "no.test:80");
    assert_false(names_resolve(names, 30000, NULL, &error));
    assert_non_null(strstr(error.text, "can't resolve \"no.test\""));
    names_free(names);
}

/* The thread that hangs is left alone with what it uses: valgrind and sanitizers see that it is freed. */
static void test_the_wait_has_an_end(void **state)
{
    (void)state;
    struct names *names = names_new();
    struct error error;
    names_want(names, "never.test:80");
    names_want(names, "yes.test:80");
    uint64_t began = clock_monotonic_us();
    assert_false(names_resolve(names, 1500, NULL, &error));
    assert_true(clock_monotonic_us() - began >= 1500000);
    assert_string_equal(error.text, "can't resolve \"never.test\": no answer within 1.5 s");
    assert_string_equal(text_of(names, "never.test:80"), "");
    names_free(names);
    while (atomic_load(&asked_at_once) != 0)
        usleep(10000);
}

static void test_a_wait_is_given_up(void **state)
{
    (void)state;
    struct names *names = names_new();
    struct error error;
    _Atomic bool given_up = true;
    names_want(names, "never.test:80");
    assert_false(names_resolve(names, 3600000, &given_up, &error));
    names_free(names);
    while (atomic_load(&asked_at_once) != 0)
        usleep(10000);
    usleep(50000); /* it frees what it has used */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_literals_need_nobody, begin),
        cmocka_unit_test_setup(test_each_is_asked_once_and_side_by_side, begin),
        cmocka_unit_test_setup(test_what_is_not_found_is_told, begin),
        cmocka_unit_test_setup(test_the_wait_has_an_end, begin),
        cmocka_unit_test_setup(test_a_wait_is_given_up, begin),
    };
    hash_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
