/*
 * What a peer makes an HTTP/2 connection do without asking for anything (protocol.md 27): each kind of such
 * frames fills a bucket that leaks at a steady rate; the connection of a peer that fills one over its brim is
 * closed with ENHANCE_YOUR_CALM. Pure: counts and a clock, no frames.
 */
#ifndef WEIR_HTTP_H2_GUARD_H
#define WEIR_HTTP_H2_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "base/counters.h"

/*
 * kind, brim, leak a second, what overflows it. Brims are far over what browsers, gRPC and load generators do
 * (gRPC asks by PING once for each window that it measures, RFC 9113 10.5 names the rest), and a flood meets
 * every one of them within 10,000 frames.
 */
#define H2_GUARDS(X)                                                                                         \
    X(resets, 500, 100, "requests reset by the client, beyond those that were answered (CVE-2023-44487)")    \
    X(errors, 50, 10, "stream errors that the client brought about (CVE-2025-8671), and malformed requests") \
    X(oversize, 100, 10, "request heads over a limit")                                                       \
    X(settings, 100, 10, "SETTINGS frames (CVE-2019-9515)")                                                  \
    X(pings, 4000, 200, "PING frames beyond those that answers earn (CVE-2019-9512)")                        \
    X(priorities, 1000, 100, "PRIORITY frames (CVE-2019-9513)")                                              \
    X(empty_data, 200, 20, "DATA frames without a byte that end nothing (CVE-2019-9518)")                    \
    X(tiny_data, 4000, 400, "DATA frames of fewer than five bytes, the least that a gRPC message has")       \
    X(continuations, 200, 20, "CONTINUATION frames beyond those of heads that were taken (CVE-2024-27316)")  \
    X(window_updates, 4000, 200, "WINDOW_UPDATE frames beyond those that answers earn (CVE-2019-9511)")      \
    X(narrow_windows, 100, 10,                                                                               \
      "requests refused because too many before them left no window for their answers")                      \
    X(unknown_frames, 1000, 10, "frames of unknown types")
enum h2_guard_kind {
#define X(kind, brim, leak, text) H2_GUARD_##kind,
    H2_GUARDS(X)
#undef X
        H2_GUARD_COUNT
};
struct h2_guard {
    uint32_t second; /* of the clock at the last leak */
    uint16_t levels[H2_GUARD_COUNT];
};
struct h2_guard_info {
    const char *name;
    uint16_t brim, leak;
    enum counter_id counter;
};
extern const struct h2_guard_info h2_guard_info[H2_GUARD_COUNT];

/* One more of a kind; now: loop_now(). False: over the brim. */
bool h2_guard_note(struct h2_guard *guard, enum h2_guard_kind kind, uint64_t now) MUST_CHECK;
/* What the connection did for the peer makes room for as many of a kind. */
void h2_guard_earn(struct h2_guard *guard, enum h2_guard_kind kind, uint16_t count);

#endif
