/* The sockets that the servers of all pools listen on. */
#ifndef ORACLE_SERVERS_H
#define ORACLE_SERVERS_H

/* Opens them and fills settings.server_ports; also finds ports for weir. */
void servers_begin(void);

#endif
