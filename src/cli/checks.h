/* Lends the configuration the checks that rooms above it make, so that a bad pattern is told at its place in
 * the file.
 */
#ifndef WEIR_CLI_CHECKS_H
#define WEIR_CLI_CHECKS_H

void checks_install(void); /* once, before the first file is read */

#endif
