/* Small value types that several sections share. Plain data without behaviour; all texts belong to the configuration. */
#ifndef WEIR_CONFIG_VALUES_H
#define WEIR_CONFIG_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `100/s`, `6000/m`, `10/h`: `count` events in `period` milliseconds (1,000, 60,000 or 3,600,000). */
struct rate {
    uint64_t count;
    uint64_t period;
};
/* A name and a value, in the order of the file. */
struct name_value {
    const char *name;
    const char *value;
};
struct name_values {
    size_t count;
    struct name_value *items;
};
struct texts {
    size_t count;
    const char **items;
};
struct numbers {
    size_t count;
    int64_t *items;
};

#endif
