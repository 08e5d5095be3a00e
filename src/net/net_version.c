/* Asks libevent, so that the other rooms need not know it. */
#include "net/net_version.h"

#include <event2/event.h>

const char *net_library_version(void)
{
    return event_get_version();
}
