/* What run would do on this machine besides reading files: names, user, ports and logs, tried without
 * serving. */
#ifndef WEIR_CONTROL_HERE_CHECK_H
#define WEIR_CONTROL_HERE_CHECK_H

struct config;
struct schema_document;
struct schema_report;

/* Blocks for as long as names take to be resolved. What would stop a start is an error; an address that
 * somebody listens on is a warning, since that may be the weir that is to be reloaded. */
void here_check(const struct config *config, const struct schema_document *document,
                struct schema_report *report);

#endif
