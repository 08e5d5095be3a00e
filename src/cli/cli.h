/* The subcommands, one file each, and their table. */
#ifndef WEIR_CLI_CLI_H
#define WEIR_CLI_CLI_H

/* The file that is read without -c, where configure was told to look for it. */
#define CLI_DEFAULT_FILE SYSCONFDIR "/weir/weir.yaml"
#define CLI_CONFIG_TEXT "the configuration (default " CLI_DEFAULT_FILE "; -: standard input)"

struct cli_command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the name; returns the exit code */
    const char *arguments;
    const char *summary;
};
extern const struct cli_command cli_commands[]; /* ends with a name of NULL */

int cli_main(int argc, char **argv);

int cli_check(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_demo(int argc, char **argv);
int cli_explain(int argc, char **argv);
int cli_help(int argc, char **argv);
int cli_proxy(int argc, char **argv);
int cli_run(int argc, char **argv);
int cli_schema(int argc, char **argv);
int cli_version(int argc, char **argv);

#endif
