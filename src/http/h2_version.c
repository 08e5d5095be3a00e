/* Asks libnghttp2, so that the other rooms need not know it. */
#include "http/h2_version.h"

#include <nghttp2/nghttp2.h>

const char *h2_library_version(void)
{
    return nghttp2_version(0)->version_str;
}
