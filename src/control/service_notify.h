/* What the service manager is told over $NOTIFY_SOCKET (sd_notify(3)), and how often it wants to hear that
 * all is well. */
#ifndef WEIR_CONTROL_SERVICE_NOTIFY_H
#define WEIR_CONTROL_SERVICE_NOTIFY_H

#include <stdint.h>

void service_notify_open(void); /* once, at start, before privileges are dropped */
void service_notify_ready(void);
void service_notify_reloading(void);
/* It ends, within so many milliseconds. */
void service_notify_stopping(uint64_t milliseconds);
void service_notify_alive(void); /* the watchdog's */
/* What is under way goes on, and something more is told within so many milliseconds. */
void service_notify_extend(uint64_t milliseconds);
/* Shown by `systemctl status`. */
void service_notify_status(const char *text);
/* Milliseconds after which the manager takes silence for a hang ($WATCHDOG_USEC); 0: it does not watch. */
uint64_t service_watchdog_period(void);

#endif
