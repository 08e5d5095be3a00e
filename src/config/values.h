/* Small value types that several sections share. Plain data without behaviour; all texts belong to the
 * configuration. */
#ifndef WEIR_CONFIG_VALUES_H
#define WEIR_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "schema/types.h" /* struct rate, name_value, name_values, texts, numbers: the engine fills them */

/* Of requests that wait for a server. */
enum priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, PRIORITY_COUNT };

#endif
