/* Options, written here because getopt_long() keeps its state in globals and can't say what was meant. */
#include "control/options.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/attributes.h"
#include "base/text.h"

#define OPTIONS_MOST 32u

static const struct option_row options_help_row = {"help", 'h', NULL, "print this"};

static int options_print_help(const struct options *options)
{
    printf("usage: weir %s%s%s\n%s\n\noptions:\n", options->command, options->arguments[0] != '\0' ? " " : "",
           options->arguments, options->summary);
    for (const struct option_row *row = options->rows;; row++) {
        const struct option_row *shown = row->name != NULL ? row : &options_help_row;
        char left[64], letter[8] = "    ";
        if (shown->letter != 0)
            snprintf(letter, sizeof letter, "-%c, ", shown->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, shown->name, shown->argument != NULL ? " " : "",
                 shown->argument != NULL ? shown->argument : "");
        printf("  %-26s %s\n", left, shown->text);
        if (row->name == NULL)
            break;
    }
    if (options->notes != NULL)
        printf("\n%s\n", options->notes);
    return OPTIONS_HELP;
}

static int options_row_named(const struct options *options, struct span name)
{
    for (int i = 0; options->rows[i].name != NULL; i++)
        if (span_is(name, options->rows[i].name))
            return i;
    return span_is(name, "help") ? OPTIONS_HELP : OPTIONS_BAD;
}

static int options_row_lettered(const struct options *options, char letter)
{
    for (int i = 0; options->rows[i].name != NULL; i++)
        if (options->rows[i].letter == letter)
            return i;
    return letter == 'h' ? OPTIONS_HELP : OPTIONS_BAD;
}

static int options_unknown(const struct options *options, struct span name)
{
    const char *names[OPTIONS_MOST + 2] = {"help"};
    for (size_t i = 0; i < OPTIONS_MOST && options->rows[i].name != NULL; i++)
        names[i + 1] = options->rows[i].name;
    const char *nearest = options_nearest(name, names);
    if (nearest != NULL)
        return options_complain(options, "unknown option \"--%.*s\"; did you mean \"--%s\"?",
                                (int)name.length, name.at, nearest);
    return options_complain(options, "unknown option \"--%.*s\"", (int)name.length, name.at);
}

static int options_take_value(struct options *options, int row, const char *attached, const char **value)
{
    const struct option_row *found = &options->rows[row];
    if (found->argument == NULL) {
        if (attached != NULL)
            return options_complain(options, "--%s takes no value", found->name);
        return row;
    }
    if (attached == NULL && options->at < options->argc)
        attached = options->argv[options->at++];
    if (attached == NULL)
        return options_complain(options, "--%s wants a value: %s", found->name, found->argument);
    *value = attached;
    return row;
}

static int options_next_long(struct options *options, const char *text, const char **value)
{
    options->at++;
    struct span name = span_of(text);
    size_t equals = span_find(name, '=');
    const char *attached = equals < name.length ? text + equals + 1 : NULL;
    int row = options_row_named(options, span_first(name, equals));
    if (row == OPTIONS_HELP)
        return options_print_help(options);
    if (row == OPTIONS_BAD)
        return options_unknown(options, span_first(name, equals));
    return options_take_value(options, row, attached, value);
}

static int options_next_short(struct options *options, const char **value)
{
    const char *group = options->argv[options->at] + 1;
    char letter = group[options->letters++];
    const char *attached = group + options->letters;
    int row = options_row_lettered(options, letter);
    bool takes_value = row >= 0 && options->rows[row].argument != NULL;
    if (takes_value || attached[0] == '\0') {
        options->at++;
        options->letters = 0;
    }
    if (row == OPTIONS_HELP)
        return options_print_help(options);
    if (row == OPTIONS_BAD)
        return options_complain(options, "unknown option \"-%c\"", letter);
    return options_take_value(options, row, takes_value && attached[0] != '\0' ? attached : NULL, value);
}

void options_begin(struct options *options, int argc, char **argv)
{
    options->argc = argc;
    options->argv = argv;
    options->at = 1;
    options->letters = 0;
    options->words = options->words_taken = 0;
}

/* At `at` stands no option: it goes behind the words that stand in front already. */
static void options_keep_word(struct options *options)
{
    options->argv[++options->words] = options->argv[options->at++];
}

int options_next(struct options *options, const char **value)
{
    *value = NULL;
    bool ended = false;
    for (; options->at < options->argc; options_keep_word(options)) {
        const char *argument = options->argv[options->at];
        if (ended || argument[0] != '-' || argument[1] == '\0')
            continue;
        if (strcmp(argument, "--") != 0)
            return argument[1] == '-' ? options_next_long(options, argument + 2, value)
                                      : options_next_short(options, value);
        ended = true;
        if (++options->at >= options->argc)
            break;
    }
    return OPTIONS_END;
}

const char *options_argument(struct options *options)
{
    return options->words_taken < options->words ? options->argv[++options->words_taken] : NULL;
}

int options_complain(const struct options *options, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "weir %s: ", options->command);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\ntry: weir %s --help\n", options->command);
    return OPTIONS_BAD;
}

const char *options_nearest(struct span word, const char *const *list)
{
    unsigned most = word.length > 4 ? 2 : 1;
    const char *nearest = NULL;
    for (; *list != NULL; list++) {
        unsigned distance = text_distance(word, span_of(*list), most);
        if (distance <= most) {
            most = distance == 0 ? 0 : distance - 1;
            nearest = *list;
            if (distance == 0)
                break;
        }
    }
    return nearest;
}
