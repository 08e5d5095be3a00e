/* The weir that is judged: a process of the real binary with a file of its own. */
#ifndef ORACLE_SUBJECT_H
#define ORACLE_SUBJECT_H

#include <stdbool.h>
#include <stdint.h>

/* Starts it and waits until it serves. False: it does not, and why was told. */
bool subject_start(const char *folder);
/* Takes what it has logged, and sees whether it lives. False: it has ended by itself, which is told as a
 * fault. */
bool subject_look(void);
/* None of its threads runs, or waits for a processor: it has done all that it can do now. */
bool subject_is_idle(void);
/* SIGTERM, and waits for its end: an exit code that is not 0, or a sanitizer's report, is told as a fault. */
/* Holds it up, or lets it go on. */
void subject_stand_still(bool still);
/* Gives it another file and has that loaded; how often so far. */
void subject_reload(void);
unsigned subject_reloads(void);
void subject_stop(void);
/* What its access log said of that exchange, as far as it is remembered. */
void subject_print_log(uint64_t id);

#endif
