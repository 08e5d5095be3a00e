/* Asks PCRE2, so that the other rooms need not know it. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "route/route_version.h"

#include <pcre2.h>

const char *route_library_version(void)
{
    static char version[64]; /* "10.42 2022-12-11" */
    if (version[0] == '\0' && pcre2_config(PCRE2_CONFIG_VERSION, NULL) < (int)sizeof version)
        (void)pcre2_config(PCRE2_CONFIG_VERSION, version);
    return version;
}
