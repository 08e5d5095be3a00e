/* The options of a subcommand as a table: parsing, --help and messages come from it. */
#ifndef WEIR_CONTROL_OPTIONS_H
#define WEIR_CONTROL_OPTIONS_H

#include <stddef.h>

#include "base/span.h"

struct option_row {
    const char *name;     /* long, without dashes; NULL ends */
    char letter;          /* short; 0: none */
    const char *argument; /* what its value is called in the help; NULL: it takes none */
    const char *text;
};
struct options {
    const char *command;   /* "run" */
    const char *arguments; /* "[-c FILE]" */
    const char *summary;   /* one sentence */
    const struct option_row *rows;
    const char *notes; /* paragraphs after the options; NULL: none */
    /* this file's own */
    int argc;
    char **argv;
    int at;
    size_t letters; /* into a group of short options such as -ab */
    /* Arguments that are not options, moved to the front of argv: argv[1] to argv[words]. */
    int words, words_taken;
};
enum { OPTIONS_END = -1, OPTIONS_HELP = -2, OPTIONS_BAD = -3 };

void options_begin(struct options *options, int argc, char **argv);
/* The next option, wherever it stands among the other arguments: its row's number, with its value if it takes
 * one. After "--" nothing is an option. HELP and BAD have been printed; exit with 0 and 2. At END,
 * options_argument() has the other arguments. */
int options_next(struct options *options, const char **value);
/* Arguments that are not options, in order; NULL: no more. */
const char *options_argument(struct options *options);
/* "weir run: TEXT", and how to get help, to stderr. */
int options_complain(const struct options *options, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The word of the list most like `word`, or NULL. */
const char *options_nearest(struct span word, const char *const *list);

#endif
