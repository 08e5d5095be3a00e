/* weir proxy: a proxy in one line. It writes the configuration that the options mean and serves that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "control/control.h"
#include "control/options.h"
#include "net/address.h"

struct proxy_options {
    const char *listen, *certificate, *key;
    const char **servers;
    size_t servers_count;
    bool quiet, print;
};

/* JSON strings are YAML strings. A relative file is meant from here, not from the folder of a configuration
 * that there is none of. */
static void proxy_add_path(struct text *text, const char *path)
{
    struct text whole = text_growing();
    if (path[0] != '/') {
        char *here = getcwd(NULL, 0);
        text_add(&whole, span_of(here != NULL ? here : "."));
        text_char(&whole, '/');
        free(here);
    }
    text_add(&whole, span_of(path));
    json_text_string(text, text_span(&whole));
    text_free(&whole);
}

static void proxy_write(struct text *text, const struct proxy_options *options)
{
    text_add(text, SPAN("listeners:\n  - address: "));
    json_text_string(text, span_of(options->listen));
    text_char(text, '\n');
    if (options->certificate != NULL) {
        text_add(text, SPAN("    tls:\n      certificates:\n        - cert: "));
        proxy_add_path(text, options->certificate);
        text_add(text, SPAN("\n          key: "));
        proxy_add_path(text, options->key);
        text_char(text, '\n');
    }
    text_add(text, SPAN("routes:\n  - pool: servers\npools:\n  servers:\n    servers:\n"));
    for (size_t i = 0; i < options->servers_count; i++) {
        text_add(text, SPAN("      - "));
        json_text_string(text, span_of(options->servers[i]));
        text_char(text, '\n');
    }
    if (options->quiet)
        text_add(text, SPAN("access_log: false\n"));
}

/* The addresses are checked here, in the words of the options, before the file that nobody wrote is. */
static bool proxy_check(const struct options *options, const struct proxy_options *wanted)
{
    struct error error;
    struct address address;
    if (wanted->listen == NULL)
        return options_complain(options, "--listen is missing: where clients connect, such as :8080") >= 0;
    if (wanted->servers_count == 0)
        return options_complain(
                   options, "--to is missing: the server that gets the requests, such as 127.0.0.1:3000") >=
               0;
    if (!address_parse(&address, wanted->listen, &error))
        return options_complain(options, "--listen %s: %s", wanted->listen, error.text) >= 0;
    if ((wanted->certificate == NULL) != (wanted->key == NULL))
        return options_complain(options, "--tls-cert and --tls-key go together") >= 0;
    return true;
}

static int proxy_serve(const struct proxy_options *wanted)
{
    struct text text = text_growing();
    proxy_write(&text, wanted);
    int code = EXIT_OK;
    if (wanted->print) {
        (void)fputs(text.at, stdout); /* whether it arrived cli_main() tells */
    } else {
        const struct control_options control = {.path = "weir-proxy", .text = text.at, .length = text.length};
        code = control_run(&control);
    }
    text_free(&text);
    return code;
}

int cli_proxy(int argc, char **argv)
{
    enum { LISTEN, TO, TLS_CERT, TLS_KEY, QUIET, PRINT };
    static const struct option_row rows[] = {
        [LISTEN] = {"listen", 'l', "ADDR", "where clients connect: host:port, :port or unix:/path"},
        [TO] = {"to", 't', "ADDR", "a server; give it again for more: requests go to the least busy"},
        [TLS_CERT] = {"tls-cert", 0, "FILE", "serve TLS with this certificate chain (PEM)"},
        [TLS_KEY] = {"tls-key", 0, "FILE", "and this key (PEM)"},
        [QUIET] = {"quiet", 'q', NULL, "no access log"},
        [PRINT] = {"print", 0, NULL, "print the configuration that this means, and end"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "proxy",
        .arguments = "--listen ADDR --to ADDR [--to ADDR ...]",
        .summary = "A proxy without a file.",
        .rows = rows,
        .notes = "example: weir proxy --listen :8080 --to 127.0.0.1:3000",
    };
    struct proxy_options wanted = {.servers = xcalloc((size_t)argc, sizeof(char *))};
    const char *value;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0) {
        const char **texts[] = {
            [LISTEN] = &wanted.listen, [TLS_CERT] = &wanted.certificate, [TLS_KEY] = &wanted.key};
        if (row == TO)
            wanted.servers[wanted.servers_count++] = value;
        else if (row == QUIET)
            wanted.quiet = true;
        else if (row == PRINT)
            wanted.print = true;
        else
            *texts[row] = value;
    }
    int code = row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        options_complain(&options, "unexpected argument \"%s\"", value);
    else if (row == OPTIONS_END && proxy_check(&options, &wanted))
        code = proxy_serve(&wanted);
    free(wanted.servers);
    return code;
}
