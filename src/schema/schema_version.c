/* Asks libyaml, so that the other rooms need not know it. */
#include "schema/schema_version.h"

#include <yaml.h>

const char *schema_library_version(void)
{
    return yaml_get_version_string();
}
