/* The version of libevent in use. */
#ifndef WEIR_NET_NET_VERSION_H
#define WEIR_NET_NET_VERSION_H

const char *net_library_version(void);

#endif
