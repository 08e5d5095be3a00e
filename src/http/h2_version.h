/* The version of libnghttp2 in use; NULL where HTTP/2 was left out. */
#ifndef WEIR_HTTP_H2_VERSION_H
#define WEIR_HTTP_H2_VERSION_H

const char *h2_library_version(void);

#endif
