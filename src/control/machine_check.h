/*
 * What the file names on this machine, looked at before anything is made of it: each mistake is told at its
 * place in the file. `weir check` and the loader ask the same.
 */
#ifndef WEIR_CONTROL_MACHINE_CHECK_H
#define WEIR_CONTROL_MACHINE_CHECK_H

#include <stdbool.h>

struct config;
struct schema_document;
struct schema_report;
struct tls_files;

struct machine_check {
    struct tls_files *files; /* begun */
    bool dates;              /* certificates that have expired or soon will are warned of */
    bool root;               /* what root alone can use while another user will serve, and root that serves */
    bool here;               /* also what run would do on this machine (here_check.h) */
};

/* For config_load_checked(); owner: a machine_check. */
void machine_check(void *owner, const struct config *config, const struct schema_document *document,
                   struct schema_report *report);
/* Whether anything needs the TLS library. */
bool machine_wants_tls(const struct config *config);

#endif
