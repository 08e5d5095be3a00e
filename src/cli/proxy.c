/* weir proxy: a proxy in one line. It writes the configuration that the options mean and serves that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/error.h"
#include "base/json.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/report.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "control/control.h"
#include "control/options.h"
#include "net/address.h"
#include "schema/schema_report.h"

/* What --to gave, as the file has it. */
struct proxy_server {
    char *address;    /* host:port */
    struct span name; /* of a URL: what a browser would send as Host; else empty */
    bool tls;
};
struct proxy_options {
    const char *listen, *certificate, *key, *host;
    struct proxy_server *servers;
    size_t servers_count;
    bool quiet, print, insecure;
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

/* A site of https expects its own name; other servers are sent the client's, unless --host says otherwise. */
static struct span proxy_host(const struct proxy_options *options)
{
    if (options->host != NULL)
        return span_of(options->host);
    for (size_t i = 0; i < options->servers_count; i++)
        if (!options->servers[i].tls ||
            !span_equal_nocase(options->servers[i].name, options->servers[0].name))
            return SPAN_NONE;
    return options->servers[0].name;
}

static void proxy_write(struct text *text, const struct proxy_options *options)
{
    struct span host = proxy_host(options);
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
    text_add(text, SPAN("routes:\n  - pool: servers\n"));
    if (host.length != 0) {
        text_add(text, SPAN("    rewrite:\n      host: "));
        json_text_string(text, host);
        text_char(text, '\n');
    }
    text_add(text, SPAN("pools:\n  servers:\n    servers:\n"));
    for (size_t i = 0; i < options->servers_count; i++) {
        text_add(text, SPAN("      - "));
        json_text_string(text, span_of(options->servers[i].address));
        text_char(text, '\n');
    }
    if (options->servers[0].tls)
        text_print(text, "    tls:\n      verify: %s\n", options->insecure ? "false" : "true");
    if (options->quiet)
        text_add(text, SPAN("access_log: false\n"));
}

/* ---- what --listen and --to may be ---- */

static bool is_port(struct span text)
{
    uint64_t port;
    return text_to_number(text, UINT16_MAX, &port) && port != 0;
}

/* A port alone, as users of other proxies write it, with or without its colon; else empty. */
static struct span port_alone(const char *text)
{
    struct span port = span_of(text[0] == ':' ? text + 1 : text);
    return is_port(port) ? port : SPAN_NONE;
}

static char *address_of(struct span host, struct span port)
{
    struct text text = text_growing();
    text_print(&text, "%.*s:%.*s", (int)host.length, host.at, (int)port.length, port.at);
    return text.at;
}

/* "localhost" is this machine by RFC 6761, so no name need be resolved to listen on it. */
static char *proxy_listen(const char *listen)
{
    struct span port = port_alone(listen);
    if (port.length == 0 && strncasecmp(listen, "localhost:", 10) == 0 && is_port(span_of(listen + 10)))
        return address_of(SPAN("127.0.0.1"), span_of(listen + 10));
    return port.length != 0 ? address_of(SPAN(""), port) : xstrdup(listen);
}

static bool server_of_url(struct proxy_server *server, const char *rest, struct error *error)
{
    size_t length = strcspn(rest, "/?#");
    struct span authority = span_make(rest, length), host = authority, port = SPAN_NONE;
    if (rest[length] != '\0' && strcmp(rest + length, "/") != 0)
        return error_set(error,
                         "a path cannot be given here; a file can rewrite it: rewrite: { add_prefix: ... }");
    const char *colon = memrchr(authority.at, ':', authority.length);
    if (colon != NULL && memchr(colon, ']', authority.length - (size_t)(colon - authority.at)) == NULL) {
        host = span_first(authority, (size_t)(colon - authority.at));
        port = span_skip(authority, host.length + 1);
    }
    if (host.length == 0 || memchr(host.at, '@', host.length) != NULL ||
        (colon != NULL && port.length != 0 && !is_port(port)))
        return error_set(error, "a URL is http://host:port or https://host:port");
    server->name = authority;
    if (port.length == 0) {
        server->name = host;
        port = server->tls ? SPAN("443") : SPAN("80");
    }
    server->address = address_of(host, port);
    return true;
}

static bool server_of(struct proxy_server *server, const char *text, struct error *error)
{
    struct span port = port_alone(text);
    server->tls = strncasecmp(text, "https://", 8) == 0;
    if (server->tls || strncasecmp(text, "http://", 7) == 0)
        return server_of_url(server, strchr(text, '/') + 2, error);
    if (port.length != 0)
        server->address = address_of(SPAN("127.0.0.1"), port);
    else if (strspn(text, "0123456789") == strlen(text))
        return error_set(error, "a port is 1 to 65535");
    else if (strncmp(text, "unix:", 5) != 0 && strchr(text, ':') == NULL)
        return error_set(error,
                         "an address is host:port, such as %s:80; http://%s and https://%s know their ports",
                         text, text, text);
    else
        server->address = xstrdup(text);
    return syntax_server_address(span_of(server->address), error);
}

static bool proxy_add_server(const struct options *options, struct proxy_options *wanted, const char *text)
{
    struct proxy_server *server = &wanted->servers[wanted->servers_count];
    struct error error;
    wanted->servers_count++; /* what it holds is freed with the others */
    if (!server_of(server, text, &error))
        return options_complain(options, "--to %s: %s", text, error.text) >= 0;
    if (server->tls != wanted->servers[0].tls)
        return options_complain(
                   options, "--to %s: https and http servers cannot be mixed; a file can have a pool of each",
                   text) >= 0;
    return true;
}

/* The addresses are checked here, in the words of the options, before the file that nobody wrote is. */
static bool proxy_check(const struct options *options, const struct proxy_options *wanted)
{
    struct error error;
    struct address address;
    if (wanted->servers_count == 0)
        return options_complain(
                   options, "--to is missing: the server that gets the requests, such as 127.0.0.1:3000") >=
               0;
    if (!syntax_listen_address(span_of(wanted->listen), &error) ||
        !address_parse(&address, wanted->listen, &error))
        return options_complain(options, "--listen %s: %s", wanted->listen, error.text) >= 0;
    if (wanted->host != NULL && !syntax_rewrite_host(span_of(wanted->host), &error))
        return options_complain(options, "--host %s: %s", wanted->host, error.text) >= 0;
    if ((wanted->certificate == NULL) != (wanted->key == NULL))
        return options_complain(options, "--tls-cert and --tls-key go together") >= 0;
    if (wanted->insecure && !wanted->servers[0].tls)
        return options_complain(options, "--insecure is for servers of https") >= 0;
    return true;
}

/* What is printed can be loaded, where its files are. */
static bool proxy_is_good(const struct text *text)
{
    struct schema_report *report = schema_report_new();
    config_text_only = true;
    struct config *config = config_load_text("weir-proxy", text->at, text->length, report);
    bool good = config != NULL;
    if (!good)
        report_print(report, stderr);
    config_free(config);
    schema_report_free(report);
    return good;
}

static int proxy_serve(const struct proxy_options *wanted)
{
    struct text text = text_growing();
    proxy_write(&text, wanted);
    int code = EXIT_OK;
    if (wanted->print && !proxy_is_good(&text)) {
        code = EXIT_FAILED;
    } else if (wanted->print) {
        (void)fputs(text.at, stdout); /* whether it arrived cli_main() tells */
    } else {
        const struct control_options control = {.path = "weir-proxy", .text = text.at, .length = text.length};
        code = control_run(&control);
    }
    text_free(&text);
    return code;
}

static void proxy_free(struct proxy_options *wanted, char *listen)
{
    for (size_t i = 0; i < wanted->servers_count; i++)
        free(wanted->servers[i].address);
    free(wanted->servers);
    free(listen);
}

int cli_proxy(int argc, char **argv)
{
    enum { LISTEN, TO, HOST, INSECURE, TLS_CERT, TLS_KEY, QUIET, PRINT };
    static const struct option_row rows[] = {
        [LISTEN] = {"listen", 'l', "ADDR",
                    "where clients connect: host:port, :port or unix:/path (default :8080)"},
        [TO] =
            {"to", 't', "SERVER",
             "host:port, a port of this machine, http://host or https://host; may be given again: requests go to "
             "the least busy"},
        [HOST] = {"host", 0, "NAME",
                  "the Host that servers are sent (default: the client's; that of an https URL)"},
        [INSECURE] = {"insecure", 'k', NULL, "certificates of https servers are not verified"},
        [TLS_CERT] = {"tls-cert", 0, "FILE", "serve TLS with this certificate chain (PEM)"},
        [TLS_KEY] = {"tls-key", 0, "FILE", "and this key (PEM)"},
        [QUIET] = {"quiet", 'q', NULL, "no access log"},
        [PRINT] = {"print", 0, NULL, "print the configuration that this means, and end"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "proxy",
        .arguments = "[--listen ADDR] --to SERVER [--to SERVER ...]",
        .summary = "A proxy without a file.",
        .rows = rows,
        .notes = "example: weir proxy --listen :8080 --to 127.0.0.1:3000",
    };
    struct proxy_options wanted = {.listen = ":8080",
                                   .servers = xcalloc((size_t)argc, sizeof(struct proxy_server))};
    const char *value;
    bool good = true;
    int row;
    options_begin(&options, argc, argv);
    while (good && (row = options_next(&options, &value)) >= 0) {
        const char **texts[] = {[LISTEN] = &wanted.listen,
                                [HOST] = &wanted.host,
                                [TLS_CERT] = &wanted.certificate,
                                [TLS_KEY] = &wanted.key};
        bool *flags[] = {[INSECURE] = &wanted.insecure, [QUIET] = &wanted.quiet, [PRINT] = &wanted.print};
        if (row == TO)
            good = proxy_add_server(&options, &wanted, value);
        else if (rows[row].argument == NULL)
            *flags[row] = true;
        else
            *texts[row] = value;
    }
    int code = row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    char *listen = proxy_listen(wanted.listen);
    wanted.listen = listen;
    if (good && row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        options_complain(&options, "unexpected argument \"%s\"; a server is given with --to", value);
    else if (good && row == OPTIONS_END && proxy_check(&options, &wanted))
        code = proxy_serve(&wanted);
    proxy_free(&wanted, listen);
    return code;
}
