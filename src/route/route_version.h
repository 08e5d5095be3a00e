/* The version of PCRE2 in use. */
#ifndef WEIR_ROUTE_ROUTE_VERSION_H
#define WEIR_ROUTE_ROUTE_VERSION_H

const char *route_library_version(void);

#endif
