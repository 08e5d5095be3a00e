/*
 * Files that the configuration names, by the table of its keys: who else may read those that hold secrets,
 * and whether the user that weir becomes can read and open again what root could. So a key that is added
 * has these rules too.
 */
#ifndef WEIR_CONTROL_NAMED_FILES_H
#define WEIR_CONTROL_NAMED_FILES_H

#include <stdbool.h>

struct config;
struct schema_document;
struct schema_report;

/* Warns of secrets that every user of the machine can read or write. */
void named_files_check_secrets(const struct config *config, const struct schema_document *document,
                               struct schema_report *report);
/* Warns of serving as root; and, with `files`, of those that root alone can use while `user` is given: no
 * user is looked up. */
void named_files_check_root(const struct config *config, bool files, const struct schema_document *document,
                            struct schema_report *report);
/* Warns of what `user`, which this process is or is able to become, can't use. */
void named_files_check_user(const struct config *config, const struct schema_document *document,
                            struct schema_report *report);
/* The same to the log, once weir has become that user. */
void named_files_tell(const struct config *config);

#endif
