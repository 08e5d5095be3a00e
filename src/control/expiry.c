/* Nobody looks at a certificate's date until clients refuse it: the log tells at the start, after each reload
 * and every day. */
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "config/config.h"
#include "control/control_state.h"
#include "proxy/snapshot.h"
#include "tls/tls.h"
#include "upstream/pool.h"

#define LOOK_EVERY (UINT64_C(24) * 60 * 60 * 1000)
#define TOLD_MOST 20u /* the others are counted */

struct look {
    const struct tls_config *listener; /* of what is looked at; NULL: a pool's */
    const struct upstream_tls_config *pool;
    size_t count;
};

static const char *file_of(const struct look *look, size_t certificate)
{
    if (look->listener != NULL)
        return certificate == TLS_AUTHORITIES ? look->listener->client_ca
                                              : look->listener->certificates[certificate].cert;
    return certificate == TLS_AUTHORITIES ? look->pool->ca : look->pool->cert;
}

static void look_tell(void *owner, size_t certificate, const char *words)
{
    struct look *look = owner;
    const char *file = file_of(look, certificate);
    if (look->count++ < TOLD_MOST)
        log_warn("tls", "a certificate is out of date or soon will be", KV("file", file != NULL ? file : ""),
                 KV("it", words));
}

static void expiry_passed(struct deadline *deadline)
{
    expiry_look(CONTAINER_OF(deadline, struct control, expiry));
}

void expiry_look(struct control *control)
{
    const struct snapshot *snapshot = control->snapshot;
    struct look look = {.count = 0};
    const struct tls_date_teller teller = {.tell = look_tell, .owner = &look};
    int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < snapshot->sites_count; i++) {
        look.listener = snapshot->sites[i].config->tls;
        if (look.listener != NULL)
            tls_store_dates(snapshot->sites[i].tls, now, &teller);
    }
    look.listener = NULL;
    for (size_t i = 0; i < snapshot->pools_count; i++) {
        look.pool = snapshot->pools[i]->config->tls;
        if (look.pool != NULL)
            tls_client_dates(snapshot->pools[i]->tls, now, &teller);
    }
    if (look.count > TOLD_MOST)
        log_warn("tls", "further certificates are out of date or soon will be",
                 KV_NUMBER("number", look.count - TOLD_MOST));
    control->expiry.passed = expiry_passed;
    deadline_set(&control->expiry, control->loop, LOOK_EVERY);
}

void expiry_stop(struct control *control)
{
    deadline_clear(&control->expiry);
}
