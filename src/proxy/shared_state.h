/* What outlives snapshots: servers by pool and address, limiters by name, certificates, ticket keys,
 * connections by listener. Of one thread: the one that loads. */
#ifndef WEIR_PROXY_SHARED_STATE_H
#define WEIR_PROXY_SHARED_STATE_H

struct limiter_set;
struct listener_counts_set;
struct server_set;
struct tls_files;
struct tls_tickets;

struct shared_state {
    struct server_set *servers;
    struct limiter_set *limiters;
    struct tls_files *files;
    struct tls_tickets *tickets;
    struct listener_counts_set *listeners;
};
struct shared_state *shared_state_new(void);
void shared_state_free(struct shared_state *shared);
void shared_state_sweep(struct shared_state *shared); /* after a snapshot was freed */

#endif
