/* The process: loads the file, opens the sockets, runs the workers, reloads on SIGHUP, drains on SIGTERM. */
#ifndef WEIR_CONTROL_CONTROL_H
#define WEIR_CONTROL_CONTROL_H

#include <stddef.h>

struct control_options {
    const char *path; /* of the configuration; with text: the name that stands for it in messages */
    const char *text; /* the configuration itself; NULL: read from path */
    size_t length;
    void (*ready)(void *argument); /* called once, when connections are accepted; may be NULL */
    void *argument;
};
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERNAL = 70 };

/* Serves until told to end; returns the exit code. Messages about a bad configuration have gone to stderr. */
int control_run(const struct control_options *options);

#endif
