/* The shapes that the engine stores besides plain numbers and texts. All memory belongs to the arena of the
 * load. */
#ifndef WEIR_SCHEMA_TYPES_H
#define WEIR_SCHEMA_TYPES_H

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
