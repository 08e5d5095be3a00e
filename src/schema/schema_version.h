/* The version of libyaml in use. */
#ifndef WEIR_SCHEMA_SCHEMA_VERSION_H
#define WEIR_SCHEMA_SCHEMA_VERSION_H

const char *schema_library_version(void);

#endif
