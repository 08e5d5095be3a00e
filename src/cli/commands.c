/* The table of subcommands, and what finds its row. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/span.h"
#include "cli/checks.h"
#include "cli/cli.h"
#include "control/control.h"
#include "control/options.h"

const struct cli_command cli_commands[] = {
    {"run", cli_run, "[-c FILE]", "serve, in the foreground"},
    {"check", cli_check, "[-c FILE]", "read and validate the file: every problem, not just the first"},
    {"explain", cli_explain,
     "[-c FILE] [-H 'Name: value'] [--from IP] [--listener NAME] [--sni NAME] [--json] METHOD URL",
     "which listener, route, limits, filters and pool would serve a request"},
    {"config", cli_config, "[-c FILE]",
     "the effective configuration, with includes merged and defaults filled in"},
    {"schema", cli_schema, "", "JSON Schema of the file, for editors"},
    {"proxy", cli_proxy, "[--listen ADDR] --to SERVER [--to SERVER ...]",
     "a proxy in one line, without a file"},
    {"demo", cli_demo, "[--port N]", "backends, certificate and configuration: something to curl"},
    {"version", cli_version, "[--json]", "version, build options, libraries"},
    {"help", cli_help, "[COMMAND]", "this, or the help of a command"},
    {NULL, NULL, NULL, NULL},
};

static const struct cli_command *command_find(const char *name)
{
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static void command_print_all(FILE *to)
{
    fprintf(to, "weir: a reverse proxy and load balancer\n\nusage: weir COMMAND [OPTIONS]\n\n");
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++)
        fprintf(to, "  %-10s %s\n", command->name, command->summary);
    fprintf(to, "\nweir COMMAND --help tells the options; weir(8) and weir.yaml(5) tell all.\n");
}

/* What users of other proxies type, and what does it here. Compared with the first word, which is no command.
 */
static const struct {
    const char *word, *instead;
} foreign_words[] = {
    {"test", "weir check -c FILE reads and validates the file"},
    {"-t", "weir check -c FILE reads and validates the file"},
    {"-T", "weir config -c FILE prints the whole configuration"},
    {"configtest", "weir check -c FILE reads and validates the file"},
    {"validate", "weir check -c FILE reads and validates the file"},
    {"lint", "weir check -c FILE reads and validates the file"},
    {"adapt", "weir config -c FILE prints the whole configuration"},
    {"start", "weir run -c FILE serves in the foreground; systemctl start weir runs it as a service"},
    {"serve", "weir run -c FILE serves in the foreground"},
    {"restart",
     "systemctl restart weir; a new file needs no restart: systemctl reload weir, or kill -HUP PID"},
    {"reload", "systemctl reload weir, or kill -HUP PID; weir check first tells what is wrong with the file"},
    {"-s",
     "signals do it: kill -HUP PID reloads, kill -TERM PID drains and ends, kill -USR1 PID reopens logs"},
    {"-sf", "kill -HUP PID reloads the file; no connection is lost"},
    {"-st", "kill -HUP PID reloads the file; no connection is lost"},
    {"stop", "systemctl stop weir, or kill -TERM PID: requests in progress end first"},
    {"quit", "systemctl stop weir, or kill -TERM PID: requests in progress end first"},
    {"reopen", "kill -USR1 PID opens the log files again"},
    {"-f", "weir run -c FILE serves what the file says"},
    {"-d", "weir run serves in the foreground; a service manager puts it into the background"},
    {"-D", "weir run serves in the foreground; a service manager puts it into the background"},
    {"-v", "weir version"},
    {"-vv", "weir version"},
    {"reverse-proxy", "weir proxy --listen :8080 --to 127.0.0.1:3000"},
};

static const char *command_foreign(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(foreign_words); i++)
        if (strcmp(foreign_words[i].word, name) == 0)
            return foreign_words[i].instead;
    return NULL;
}

/* Other proxies are given their file at once. */
static int command_missing(const char *name)
{
    fprintf(stderr, "weir: a command comes before \"%s\"\ntry: weir run -c %s, or weir --help\n", name,
            name[0] == '-' ? "FILE" : name);
    return EXIT_USAGE;
}

static int command_unknown(const char *name)
{
    const char *instead = command_foreign(name);
    if (instead != NULL) {
        fprintf(stderr, "weir: \"%s\" is no command of weir\ntry: %s\n", name, instead);
        return EXIT_USAGE;
    }
    if (name[0] == '-' || access(name, F_OK) == 0)
        return command_missing(name);
    const char *names[COUNT_OF(cli_commands)] = {NULL};
    for (size_t i = 0; i + 1 < COUNT_OF(cli_commands); i++)
        names[i] = cli_commands[i].name;
    const char *nearest = options_nearest(span_of(name), names);
    fprintf(stderr, "weir: unknown command \"%s\"", name);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean \"%s\"?", nearest);
    fprintf(stderr, "\ntry: weir --help\n");
    return EXIT_USAGE;
}

int cli_help(int argc, char **argv)
{
    if (argc < 2 || argv[1][0] == '-') {
        command_print_all(stdout);
        return EXIT_OK;
    }
    const struct cli_command *command = command_find(argv[1]);
    if (command == NULL)
        return command_unknown(argv[1]);
    if (command->run == cli_help)
        return cli_help(1, argv);
    char help[] = "--help";
    char *arguments[] = {argv[1], help, NULL};
    return command->run(2, arguments);
}

static int command_run(int argc, char **argv)
{
    checks_install();
    if (argc < 2) {
        command_print_all(stderr);
        return EXIT_USAGE;
    }
    char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return cli_help(1, argv);
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        return cli_version(1, argv);
    const struct cli_command *command = command_find(name);
    return command != NULL ? command->run(argc - 1, argv + 1) : command_unknown(name);
}

/* What was printed and did not arrive was not done: a full disk must not look like a good check. */
static int command_end_output(int code)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return code;
    fprintf(stderr, "weir: standard output could not be written: %s\n", strerror(errno));
    return code == EXIT_OK ? EXIT_FAILED : code;
}

int cli_main(int argc, char **argv)
{
    return command_end_output(command_run(argc, argv));
}
