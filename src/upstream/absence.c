#include "upstream/absence.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "upstream/pool.h"
#include "upstream/server.h"
#include "upstream/tried.h"

#define LOOK_AGAIN_US 100000u

/* In the order in which they are told. */
enum absence { DOWN, EJECTED, UNREACHED, FULL, NO_WEIGHT, STANDING_BY, ABSENCE_COUNT };
static const char *const absence_words[ABSENCE_COUNT] = {
    [DOWN] = "down", [EJECTED] = "ejected",       [UNREACHED] = "not reached",
    [FULL] = "full", [NO_WEIGHT] = "of weight 0", [STANDING_BY] = "standing by",
};

static void shared_lock(struct pool_shared *shared)
{
    while (atomic_flag_test_and_set_explicit(&shared->telling, memory_order_acquire))
        ;
}

static void shared_unlock(struct pool_shared *shared)
{
    atomic_flag_clear_explicit(&shared->telling, memory_order_release);
}

/* ABSENCE_COUNT: it could be had by now. */
static enum absence absence_of(const struct pool_server *member, uint64_t now_us)
{
    const struct server *server = member->server;
    if (!server_is_up(server))
        return DOWN;
    if (server_is_ejected(server, now_us))
        return EJECTED;
    if (server_turns_away(server, now_us))
        return UNREACHED;
    if (!server_has_room(server, member->max_connections))
        return FULL;
    if (member->weight == 0)
        return NO_WEIGHT;
    return member->standby ? STANDING_BY : ABSENCE_COUNT;
}

static void print_counts(const struct pool *pool, uint64_t now_us, struct text *text)
{
    uint32_t counts[ABSENCE_COUNT + 1] = {0};
    for (size_t i = 0; i < pool->servers_count; i++)
        counts[absence_of(&pool->servers[i], now_us)]++;
    for (unsigned i = 0; i < ABSENCE_COUNT; i++) {
        if (counts[i] == 0)
            continue;
        text_print(text, "%s%s %u", text->length != 0 ? ", " : "", absence_words[i], counts[i]);
        if (i == DOWN && pool->shared->down_why[0] != '\0')
            text_print(text, " (%s)", pool->shared->down_why);
    }
}

struct span absence_print(const struct pool *pool, const struct tried *tried, uint64_t now_us,
                          char memory[ABSENCE_TEXT])
{
    struct pool_shared *shared = pool->shared;
    struct text text = text_over(memory, ABSENCE_TEXT);
    shared_lock(shared);
    if (shared->absent_us == 0 || now_us - shared->absent_us > LOOK_AGAIN_US) {
        struct text all = text_over(shared->absent, sizeof shared->absent - 1);
        print_counts(pool, now_us, &all);
        shared->absent[all.length] = '\0';
        shared->absent_us = now_us;
    }
    text_add(&text, span_of(shared->absent));
    shared_unlock(shared);
    if (tried != NULL && tried->count != 0)
        text_print(&text, "%stried %u", text.length != 0 ? "; " : "", tried->count);
    return text_span(&text);
}

void absence_note_down(struct pool_shared *shared, const char *why)
{
    shared_lock(shared);
    (void)snprintf(shared->down_why, sizeof shared->down_why, "%s", why);
    shared->absent_us = 0;
    shared_unlock(shared);
}
