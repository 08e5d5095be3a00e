/* The methods of HTTP that have a name of their own (IANA HTTP Method Registry), and those that caches and
 * event servers use besides. One list for the file's checks and for what requests may bring. */
#ifndef WEIR_CONFIG_METHOD_NAMES_H
#define WEIR_CONFIG_METHOD_NAMES_H

#include <stdbool.h>

struct method_name {
    const char *name;
    bool registered;
};
/* Ended by a row without a name. */
extern const struct method_name method_names[];

#endif
