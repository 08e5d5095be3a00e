/* signalfd on the loop: handlers would interrupt a thread anywhere, and this interrupts nothing. */
#include "control/signals.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/error.h"
#include "net/loop.h"

struct signals {
    int descriptor;
    struct watch *watch;
    void (*came)(void *owner, int number);
    void *owner;
};

static void signals_set(sigset_t *set)
{
    static const int numbers[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    sigemptyset(set);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        sigaddset(set, numbers[i]);
}

static void signals_ready(void *owner, unsigned bits)
{
    (void)bits;
    struct signals *signals = owner;
    struct signalfd_siginfo information;
    while (read(signals->descriptor, &information, sizeof information) == (ssize_t)sizeof information)
        signals->came(signals->owner, (int)information.ssi_signo);
}

void signals_block(void)
{
    sigset_t set;
    signals_set(&set);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

struct signals *signals_new(struct loop *loop, void (*came)(void *owner, int number), void *owner)
{
    sigset_t set;
    signals_set(&set);
    struct signals *signals = xcalloc(1, sizeof *signals);
    signals->came = came;
    signals->owner = owner;
    signals->descriptor = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals->descriptor < 0)
        die("signals cannot be received: signalfd failed");
    signals->watch = watch_new(loop, signals->descriptor, WATCH_READ, signals_ready, signals);
    if (signals->watch == NULL)
        die("event loop: a descriptor can't be watched");
    return signals;
}

void signals_free(struct signals *signals)
{
    if (signals == NULL)
        return;
    watch_free(signals->watch);
    close(signals->descriptor);
    free(signals);
}
