/*
 * Who goes and who is turned away when memory runs short, in the order of memory.h's levels: quiet
 * connections go, a new connection and a new request need somebody who goes for them, and at last those go
 * who hold most. Who holds little goes for nobody, so that small requests are served whatever others hold.
 */
#ifndef WEIR_PROXY_CLIENT_MEMORY_H
#define WEIR_PROXY_CLIENT_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/attributes.h"
#include "base/memory.h"

struct client_conn;
struct worker;

/* One more connection may come; where memory is short, another has gone for it. */
bool client_memory_takes_connection(struct worker *worker) MUST_CHECK;
/* Likewise a request on this connection. Where nothing is short it costs a compare. */
bool client_memory_make_room(const struct client_conn *conn) MUST_CHECK;
MUST_CHECK static inline bool client_memory_takes_request(const struct client_conn *conn)
{
    return memory_level() < MEMORY_NO_REQUESTS || client_memory_make_room(conn);
}
/* Another worker has asked: who holds much here goes for who comes there. */
void client_memory_answer(struct worker *worker);
/* How many free blocks this worker keeps at most, as memory is now. */
size_t client_memory_blocks_kept(const struct worker *worker);
/* Does for this worker what the level asks for, after memory has grown. */
void client_memory_relieve(struct worker *worker);

#endif
