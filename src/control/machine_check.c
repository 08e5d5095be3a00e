/* Certificates and keys; what reads them is the tls room's. */
#include "control/machine_check.h"

#include "config/config.h"
#include "config/pem_check.h"
#include "control/here_check.h"
#include "control/memory_limit.h"
#include "control/named_files.h"
#include "schema/schema.h"
#include "schema/schema_report.h"
#include "tls/tls.h"

struct checking {
    const struct machine_check *wish;
    const struct schema_document *document;
    struct schema_report *report;
};

static void checking_tell(void *owner, enum tls_word word, const char *const *field, const char *text)
{
    struct checking *checking = owner;
    if (word == TLS_WORD_DATE && !checking->wish->dates)
        return;
    schema_report_add(checking->report, word == TLS_WORD_ERROR ? SCHEMA_ERROR : SCHEMA_WARNING,
                      schema_place(checking->document, field), "%s", text);
}

/* Where the files are of another sort altogether, that says more. */
static void checking_missing(void *owner, const char *const *cert, const char *const *key, bool of_key,
                             const char *text)
{
    struct checking *checking = owner;
    size_t before = schema_report_errors(checking->report);
    if (key != NULL)
        pem_pair_check(cert, key, checking->document, checking->report);
    else
        pem_authority_check(cert, checking->document, checking->report);
    if (schema_report_errors(checking->report) == before)
        schema_report_add(checking->report, SCHEMA_ERROR,
                          schema_place(checking->document, of_key ? key : cert), "%s", text);
}

static void check_certificates(struct checking *checking, const struct config *config)
{
    const struct tls_teller teller = {.tell = checking_tell, .missing = checking_missing, .owner = checking};
    struct tls_files *files = checking->wish->files;
    for (size_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].tls != NULL)
            (void)!tls_check_listener(files, config->listeners[i].tls, &teller);
    for (size_t i = 0; i < config->pools_count; i++)
        if (config->pools[i].tls != NULL)
            (void)!tls_check_pool(files, config->pools[i].tls, &teller);
}

bool machine_wants_tls(const struct config *config)
{
    for (size_t i = 0; i < config->listeners_count; i++)
        if (config->listeners[i].tls != NULL)
            return true;
    for (size_t i = 0; i < config->pools_count; i++) {
        const struct health_config *health = config->pools[i].health;
        if (config->pools[i].tls != NULL || (health != NULL && health->type == PROBE_HTTPS))
            return true;
    }
    return false;
}

void machine_check(void *owner, const struct config *config, const struct schema_document *document,
                   struct schema_report *report)
{
    struct checking checking = {.wish = owner, .document = document, .report = report};
    struct error error;
    if (checking.wish->here)
        here_check(config, document, report);
    if (checking.wish->root)
        named_files_check_root(config, !checking.wish->here, document, report);
    named_files_check_secrets(config, document, report);
    if (checking.wish->root)
        memory_limit_check(config, document, report);
    /* The library costs milliseconds to begin, so it begins when something needs it. */
    if (!machine_wants_tls(config))
        return;
    if (tls_begin(&error))
        check_certificates(&checking, config);
    else
        schema_report_add(report, SCHEMA_ERROR, SCHEMA_NOWHERE, "%s", error.text);
}
