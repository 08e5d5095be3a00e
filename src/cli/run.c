/* weir run: serves what the file says, in the foreground. */
#include "cli/cli.h"
#include "control/control.h"
#include "control/options.h"

int cli_run(int argc, char **argv)
{
    static const struct option_row rows[] = {
        {"config", 'c', "FILE", CLI_CONFIG_TEXT},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "run",
        .arguments = "[-c FILE]",
        .summary = "Serves in the foreground.",
        .rows = rows,
        .notes = "signals:\n"
                 "  SIGHUP    reload the file; a file with errors changes nothing\n"
                 "  SIGTERM   drain and end; SIGINT and SIGQUIT likewise; a further one goes on at once\n"
                 "  SIGUSR1   reopen the logs\n"
                 "  SIGUSR2   write to the log what was counted",
    };
    struct control_options control = {.path = CLI_DEFAULT_FILE};
    const char *value;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0)
        control.path = value;
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    if ((value = options_argument(&options)) != NULL) {
        options_complain(&options, "unexpected argument \"%s\"; a file is given with -c", value);
        return EXIT_USAGE;
    }
    return control_run(&control);
}
