/* The threads share a job that is counted: one that never comes back keeps what it uses, and nothing else. */
#include "net/names.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/map.h"

#define ADDRESSES_MOST 8 /* of one name that are kept */
#define ASKING_MOST 16   /* threads */
#define LOOK_EVERY 50    /* ms: how soon a load that was given up ends */
#define STACK_SIZE ((size_t)512 << 10)

struct name {
    char *text;
    bool answered;
    size_t count; /* 0: error */
    struct address addresses[ADDRESSES_MOST];
    struct error error;
};
/* What threads and their asker share. */
struct job {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned references; /* of the asker and each thread, as all that follows under the lock */
    size_t count, next, left;
    bool given_up;
    struct name *names;
};
struct names {
    struct job *job;
    size_t room;
    bool asked;          /* the threads may still use the job's names: there are no more */
    struct map *by_text; /* number + 1 */
};

static void job_release(struct job *job)
{
    pthread_mutex_lock(&job->lock);
    bool last = --job->references == 0;
    pthread_mutex_unlock(&job->lock);
    if (!last)
        return;
    for (size_t i = 0; i < job->count; i++)
        free(job->names[i].text);
    free(job->names);
    pthread_cond_destroy(&job->answered);
    pthread_mutex_destroy(&job->lock);
    free(job);
}

struct names *names_new(void)
{
    struct names *names = xcalloc(1, sizeof *names);
    names->by_text = map_new();
    names->job = xcalloc(1, sizeof *names->job);
    names->job->references = 1;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&names->job->lock, NULL);
    pthread_cond_init(&names->job->answered, &attributes);
    pthread_condattr_destroy(&attributes);
    return names;
}

void names_free(struct names *names)
{
    if (names == NULL)
        return;
    job_release(names->job);
    map_free(names->by_text);
    free(names);
}

void names_want(struct names *names, const char *text)
{
    struct address literal;
    struct job *job = names->job;
    assert(!names->asked);
    if (address_parse(&literal, text, NULL) || map_get(names->by_text, span_of(text)) != NULL)
        return;
    if (job->count == names->room) {
        names->room = names->room == 0 ? 8 : names->room * 2;
        job->names = xrealloc(job->names, names->room * sizeof *job->names);
    }
    struct name *name = &job->names[job->count++];
    memset(name, 0, sizeof *name);
    name->text = xstrdup(text);
    map_set(names->by_text, span_of(text), (void *)job->count);
}

/* ---- asking ---- */

static void *names_ask(void *argument)
{
    struct job *job = argument;
    pthread_mutex_lock(&job->lock);
    while (job->next < job->count && !job->given_up) {
        struct name *name = &job->names[job->next++];
        struct address addresses[ADDRESSES_MOST];
        struct error error = {.text = ""};
        pthread_mutex_unlock(&job->lock);
        size_t count = address_resolve(addresses, ADDRESSES_MOST, name->text, &error);
        pthread_mutex_lock(&job->lock);
        memcpy(name->addresses, addresses, count * sizeof *addresses);
        name->count = count;
        name->error = error;
        name->answered = true;
        if (--job->left == 0)
            pthread_cond_signal(&job->answered);
    }
    pthread_mutex_unlock(&job->lock);
    job_release(job);
    return NULL;
}

/* As many threads as there are names, within bounds; false when there is none. Under the lock. */
static bool names_start(struct job *job, struct error *error)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    pthread_t thread;
    int number = 0;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < job->count && i < ASKING_MOST && number == 0; i++) {
        number = pthread_create(&thread, &attributes, names_ask, job);
        job->references += number == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return job->references > 1 || error_set_errno(error, number, "cannot start a thread that asks for names");
}

/* Until all have answered or nobody waits for them any more. Under the lock. */
static void names_wait(struct job *job, uint64_t milliseconds, const _Atomic bool *given_up)
{
    uint64_t end = clock_monotonic_us() + milliseconds * 1000;
    for (uint64_t now = 0; job->left != 0 && now < end; now = clock_monotonic_us()) {
        if (given_up != NULL && atomic_load(given_up))
            break;
        uint64_t look = clock_monotonic_us() + LOOK_EVERY * 1000u;
        uint64_t until = look < end ? look : end;
        const struct timespec at = {.tv_sec = (time_t)(until / 1000000u),
                                    .tv_nsec = (long)(until % 1000000u * 1000u)};
        pthread_cond_timedwait(&job->answered, &job->lock, &at);
    }
    job->given_up = true;
}

static bool names_tell(const struct job *job, uint64_t milliseconds, struct error *error)
{
    size_t missing = 0;
    for (size_t i = 0; i < job->count; i++) {
        const struct name *name = &job->names[i];
        if (name->answered && name->count != 0)
            continue;
        if (missing++ != 0)
            continue;
        if (name->answered)
            error_set(error, "%s", name->error.text);
        else
            error_set(error, "can't resolve \"%.*s\": no answer within %g s", (int)strcspn(name->text, ":"),
                      name->text, (double)milliseconds / 1000);
    }
    return missing == 0 ||
           (missing > 1 ? error_wrap(error, "%zu names were not found; the first", missing) : false);
}

bool names_resolve(struct names *names, uint64_t milliseconds, const _Atomic bool *given_up,
                   struct error *error)
{
    struct job *job = names->job;
    names->asked = true;
    if (job->count == 0)
        return true;
    pthread_mutex_lock(&job->lock);
    job->left = job->count;
    bool started = names_start(job, error);
    if (started)
        names_wait(job, milliseconds, given_up);
    bool found = started && names_tell(job, milliseconds, error);
    pthread_mutex_unlock(&job->lock);
    return found;
}

void names_leave_unasked(struct names *names)
{
    struct job *job = names->job;
    for (size_t i = 0; i < job->count; i++) {
        struct name *name = &job->names[i];
        const char *colon = strrchr(name->text, ':');
        struct sockaddr_in *nowhere = &name->addresses[0].socket.v4;
        name->addresses[0].length = sizeof *nowhere;
        nowhere->sin_family = AF_INET;
        nowhere->sin_port = htons(colon != NULL ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0);
        nowhere->sin_addr.s_addr =
            htonl(0xf0000000u + (uint32_t)i); /* 240.0.0.0/4 is nobody's (RFC 1112 4) */
        name->answered = true;
        name->count = 1;
    }
}

size_t names_find(const struct names *names, struct address *addresses, size_t most, const char *text,
                  struct error *error)
{
    uintptr_t at = names != NULL ? (uintptr_t)map_get(names->by_text, span_of(text)) : 0;
    if (at == 0)
        return address_resolve(addresses, most, text, error);
    pthread_mutex_lock(&names->job->lock);
    const struct name *name = &names->job->names[at - 1];
    size_t count = name->count < most ? name->count : most;
    memcpy(addresses, name->addresses, count * sizeof *addresses);
    pthread_mutex_unlock(&names->job->lock);
    if (count == 0)
        error_set(error, "can't resolve \"%s\"", text);
    return count;
}
