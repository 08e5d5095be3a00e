/* Signals as events of the control thread's loop. */
#ifndef WEIR_CONTROL_SIGNALS_H
#define WEIR_CONTROL_SIGNALS_H

struct loop;
struct signals;

/* Blocks the signals weir acts on and ignores SIGPIPE; before any thread is made, so that all inherit it. */
void signals_block(void);
/* Calls `came` from the loop, on its thread, with each signal that comes: SIGHUP, SIGINT, SIGQUIT, SIGTERM,
 * SIGUSR1 or SIGUSR2. */
struct signals *signals_new(struct loop *loop, void (*came)(void *owner, int number), void *owner);
void signals_free(struct signals *signals);

#endif
