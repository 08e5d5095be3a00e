/* The failure table as data. */
#include "http/failure.h"

const struct failure_info failure_info[FAILURE_COUNT] = {
#define X(name, word, status, grpc, retry, whose, text) \
    [FAILURE_##name] = {#word, status, grpc, retry, whose, text},
    FAILURES(X)
#undef X
};
