/* What every unit test includes: cmocka with the headers it wants before it. */
#ifndef WEIR_TESTS_UNIT_H
#define WEIR_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/span.h"

/* Equal bytes. */
#define assert_span(actual, expected)                                        \
    do {                                                                     \
        struct span actual_ = (actual), expected_ = span_of(expected);       \
        assert_int_equal(actual_.length, expected_.length);                  \
        if (expected_.length != 0)                                           \
            assert_memory_equal(actual_.at, expected_.at, expected_.length); \
    } while (0)

#endif
