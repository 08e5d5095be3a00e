/* What the files of a certificate or an authority hold, as far as their first lines tell: what is wrong is
 * told at its place, and nothing where that cannot be seen. */
#ifndef WEIR_CONFIG_PEM_CHECK_H
#define WEIR_CONFIG_PEM_CHECK_H

struct schema_document;
struct schema_report;

void pem_pair_check(const char *const *cert, const char *const *key, const struct schema_document *document,
                    struct schema_report *report);
void pem_authority_check(const char *const *ca, const struct schema_document *document,
                         struct schema_report *report);

#endif
