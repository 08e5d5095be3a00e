/*
 * What the config room can't know by itself: whether a regular expression compiles, a template names what
 * exists, and a path is one. All are cheap; certificates are not, and whoever loads them tells their errors.
 */
#include "cli/checks.h"

#include "config/config.h"
#include "http/regex.h"
#include "http/template.h"
#include "route/router.h"
#include "route/shadow.h"
#include "tls/tls.h"

static bool template_check(const char *text, struct error *error)
{
    struct template *template = template_new(text, error);
    template_free(template);
    return template != NULL;
}

void checks_install(void)
{
    config_hooks = (struct config_hooks){.regex = regex_check,
                                         .groups = regex_groups,
                                         .regex_sound = regex_is_sound,
                                         .ciphers = tls_ciphers_check,
                                         .shadowed = routes_shadowed,
                                         .template = template_check,
                                         .template_early = template_check_early,
                                         .path = router_path_check};
}
