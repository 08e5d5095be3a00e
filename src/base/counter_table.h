/*
 * Every counter weir keeps: name, kind, help. The cell, the metric, its help text and the manual's line come
 * from this row. COUNTER only grows; GAUGE goes up and down. Each thread has its own cells (one writer each),
 * summed when asked.
 */
#ifndef WEIR_BASE_COUNTER_TABLE_H
#define WEIR_BASE_COUNTER_TABLE_H

#define COUNTERS(X)                                                                                          \
    X(connections_accepted, COUNTER, "client connections accepted")                                          \
    X(connections_refused, COUNTER, "client connections closed at once because a cap was reached")           \
    X(connections_shed, COUNTER, "quiet client connections closed to make room for others")                  \
    X(connections_open, GAUGE, "client connections open")                                                    \
    X(tls_handshakes, COUNTER, "TLS handshakes with clients completed")                                      \
    X(tls_handshakes_failed, COUNTER, "TLS handshakes with clients that failed")                             \
    X(tls_resumed, COUNTER, "TLS handshakes with clients that resumed a session")                            \
    X(requests, COUNTER, "requests received")                                                                \
    X(chains_cut, COUNTER, "requests whose X-Forwarded-For or Forwarded could not be read to its begin")     \
    X(requests_active, GAUGE, "requests in progress")                                                        \
    X(streams_refused, COUNTER, "HTTP/2 streams refused because too many of their connection had not ended") \
    X(responses_1xx, COUNTER, "interim responses sent to clients")                                           \
    X(responses_2xx, COUNTER, "responses with a 2xx status")                                                 \
    X(responses_3xx, COUNTER, "responses with a 3xx status")                                                 \
    X(responses_4xx, COUNTER, "responses with a 4xx status")                                                 \
    X(responses_5xx, COUNTER, "responses with a 5xx status")                                                 \
    X(bytes_from_clients, COUNTER, "body bytes received from clients")                                       \
    X(bytes_to_clients, COUNTER, "body bytes sent to clients")                                               \
    X(h2_connections, GAUGE, "client connections open that speak HTTP/2")                                    \
    X(h2_flood_resets, COUNTER, "HTTP/2 connections closed: too many requests reset")                        \
    X(h2_flood_errors, COUNTER, "HTTP/2 connections closed: too many stream errors or malformed requests")   \
    X(h2_flood_oversize, COUNTER, "HTTP/2 connections closed: too many request heads over a limit")          \
    X(h2_flood_settings, COUNTER, "HTTP/2 connections closed: too many SETTINGS frames")                     \
    X(h2_flood_pings, COUNTER, "HTTP/2 connections closed: too many PING frames")                            \
    X(h2_flood_priorities, COUNTER, "HTTP/2 connections closed: too many PRIORITY frames")                   \
    X(h2_flood_empty_data, COUNTER, "HTTP/2 connections closed: too many empty DATA frames")                 \
    X(h2_flood_tiny_data, COUNTER, "HTTP/2 connections closed: too many DATA frames of a few bytes")         \
    X(h2_flood_continuations, COUNTER, "HTTP/2 connections closed: too many CONTINUATION frames")            \
    X(h2_flood_window_updates, COUNTER, "HTTP/2 connections closed: too many WINDOW_UPDATE frames")          \
    X(h2_flood_narrow_windows, COUNTER,                                                                      \
      "HTTP/2 connections closed: too many requests without a window for an answer")                         \
    X(h2_flood_unknown_frames, COUNTER, "HTTP/2 connections closed: too many frames of unknown types")       \
    X(h2_flood_library, COUNTER, "HTTP/2 connections closed: flooded beyond what the library takes")         \
    X(upstream_connects, COUNTER, "connections to servers opened")                                           \
    X(upstream_connects_failed, COUNTER, "connections to servers that failed")                               \
    X(upstream_reused, COUNTER, "requests sent on a kept server connection")                                 \
    X(upstream_idle, GAUGE, "idle kept connections to servers")                                              \
    X(upstream_idle_shed, COUNTER, "idle kept connections to servers closed to make room for others")        \
    X(picks_adaptive, COUNTER, "servers chosen by balance: adaptive")                                        \
    X(picks_least_conn, COUNTER, "servers chosen by balance: least_conn")                                    \
    X(picks_round_robin, COUNTER, "servers chosen by balance: round_robin")                                  \
    X(picks_random, COUNTER, "servers chosen by balance: random")                                            \
    X(picks_first, COUNTER, "servers chosen by balance: first")                                              \
    X(picks_hash, COUNTER, "servers chosen by balance: hash")                                                \
    X(picks_backup, COUNTER, "servers chosen that were backups, whatever the policy")                        \
    X(picks_panic, COUNTER, "servers chosen while ejections did not count")                                  \
    X(queue_waiting, GAUGE, "requests that wait for a server")                                               \
    X(queue_refused, COUNTER, "requests refused because a queue was full")                                   \
    X(queue_timeouts, COUNTER, "requests that waited too long for a server")                                 \
    X(queue_overdue, COUNTER, "requests that waited longer than codel's target under overload")              \
    X(queue_displaced, COUNTER,                                                                              \
      "requests that left a full queue for one of higher priority, or a newer one")                          \
    X(queue_served, COUNTER, "requests that waited for a server and got one")                                \
    X(queue_time_us, COUNTER,                                                                                \
      "microseconds that requests waited for a server, those that got none included")                        \
    X(places_taken_back, COUNTER,                                                                            \
      "requests ended whose slow client held a server's place that others waited for")                       \
    X(limits_lowered, COUNTER, "times that max_connections: auto gave a server fewer requests at once")      \
    X(limits_lifted, COUNTER, "times that it took a limit away because it did not help")                     \
    X(retries, COUNTER, "attempts after the first")                                                          \
    X(retries_never_sent, COUNTER, "retries of requests of which no byte had been sent")                     \
    X(retries_sent_no_reply, COUNTER, "retries of requests that a server had been sent and did not answer")  \
    X(retries_status, COUNTER, "retries because of the status of an answer")                                 \
    X(retries_too_late, COUNTER, "retries not made because too little was left of the request's time")       \
    X(retries_of_retries, COUNTER, "retries not made because the request already was one")                   \
    X(retries_nobody_else, COUNTER, "retries not made because the pool had no other server up")              \
    X(retries_out_of_budget, COUNTER, "retries that the budget forbade")                                     \
    X(replays, COUNTER, "requests sent anew because a kept server connection had gone stale")                \
    X(sticky_kept, COUNTER, "requests that went to the server that their cookie names")                      \
    X(sticky_moved, COUNTER, "requests that went to another server than their cookie names")                 \
    X(sticky_refused, COUNTER,                                                                               \
      "cookies of sticky sessions that were forged, too old, or of a server that is gone")                   \
    X(mirrors, COUNTER, "copies of requests sent to shadow pools")                                           \
    X(mirrors_skipped, COUNTER,                                                                              \
      "requests not copied: memory is short, too many, too large, or nobody well in the shadow pool")        \
    X(mirrors_failed, COUNTER, "copies of requests that were not answered in full")                          \
    X(hedges, COUNTER, "requests sent to a second server because their answer was late")                     \
    X(hedges_of_trials, COUNTER, "hedges of requests to a server known to be slow, made unasked")            \
    X(hedges_won, COUNTER, "hedges whose second server answered first")                                      \
    X(hedges_gated, COUNTER,                                                                                 \
      "hedges not made: requests queue, no other server has room, or the request is a retry")                \
    X(hedges_out_of_budget, COUNTER, "hedges that the budget forbade")                                       \
    X(ejections, COUNTER, "servers left out for a time because their traffic failed")                        \
    X(panics, COUNTER, "times that so few servers of a pool were left that ejected ones were used")          \
    X(ejections_refused, COUNTER, "ejections that would have left too few servers")                          \
    X(rate_limited, COUNTER, "requests refused by a rate limit")                                             \
    X(rate_limited_dry, COUNTER, "requests that a rate limit in dry run would have refused")                 \
    X(rate_limit_full, COUNTER,                                                                              \
      "requests counted on top of another key's, because the table of a rate limit was full")                \
    X(in_flight_limited, COUNTER, "requests refused by a limit of requests in flight")                       \
    X(in_flight_limited_dry, COUNTER,                                                                        \
      "requests that a limit of requests in flight in dry run would have refused")                           \
    X(in_flight_full, COUNTER, "requests that found the table of a limit of requests in flight full")        \
    X(access_denied, COUNTER, "requests refused by address rules")                                           \
    X(probes, COUNTER, "health probes made")                                                                 \
    X(probes_failed, COUNTER, "health probes that failed")                                                   \
    X(probes_spared, COUNTER, "health probes not made because requests had shown the server to be well")     \
    X(probes_outweighed, COUNTER,                                                                            \
      "failed health probes that took no server down because its requests were answered")                    \
    X(reloads, COUNTER, "configurations loaded")                                                             \
    X(reloads_failed, COUNTER, "configurations refused")                                                     \
    X(configurations_old, GAUGE, "configurations in use though a reload has replaced them")                  \
    X(log_dropped, COUNTER, "log lines that were lost: a ring was full, or they could not be written")       \
    X(memory_shed, COUNTER, "connections closed because memory was short, the quiet and the largest")        \
    X(memory_refused, COUNTER, "connections and requests refused because memory was short")

#endif
