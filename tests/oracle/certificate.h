/* A certification authority of a week, one certificate of it for all names that the oracle uses, and the TLS
 * of both ends with it. */
#ifndef ORACLE_CERTIFICATE_H
#define ORACLE_CERTIFICATE_H

/* Writes ca.crt, leaf.crt and leaf.key into the folder, and fills settings.client_tls and server_tls. Ends
 * the program when that fails. */
void certificate_prepare(const char *folder);

#endif
