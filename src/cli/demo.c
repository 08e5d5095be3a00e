/* weir demo: backends, a certificate and a configuration made on the spot, and the commands to try them with.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/demo_backends.h"
#include "config/config.h"
#include "config/listener_config.h"
#include "config/pool_config.h"
#include "control/control.h"
#include "control/options.h"
#include "control/signals.h"
#include "net/address.h"
#include "schema/schema_report.h"
#include "tls/tls_self_signed.h"

#define DEMO_PORT 8443u

struct demo {
    char folder[256];
    bool keep;  /* the folder was given */
    bool found; /* and has a weir.yaml, which is the user's by now and not written again */
    uint16_t tls_port, plain_port;
    struct demo_backends *backends;
    struct config *config;
};

static const char *const demo_files[] = {"cert.pem", "key.pem", "weir.yaml"};

static void demo_path(const struct demo *demo, const char *name, char path[512])
{
    snprintf(path, 512, "%s/%s", demo->folder, name);
}

/* Whether the port can be had; 0 asks for any that is free. Returns it, or 0. */
static uint16_t demo_try_port(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    int on = 1, descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return 0;
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    bool got = bind(descriptor, (const struct sockaddr *)&address, length) == 0 &&
               getsockname(descriptor, (struct sockaddr *)&address, &length) == 0;
    close(descriptor);
    return got ? ntohs(address.sin_port) : 0;
}

static bool demo_choose_ports(struct demo *demo, uint16_t wanted, struct error *error)
{
    demo->tls_port = demo_try_port(wanted != 0 ? wanted : DEMO_PORT);
    demo->plain_port = demo_try_port((uint16_t)((wanted != 0 ? wanted : DEMO_PORT) + 1u));
    if (demo->tls_port != 0 && demo->plain_port != 0)
        return true;
    if (wanted != 0)
        return error_set(error, "port %u or the one after it is in use", wanted);
    demo->tls_port = demo_try_port(0);
    demo->plain_port = demo_try_port(0);
    if (demo->tls_port == 0 || demo->plain_port == 0)
        return error_set(error, "no free port was found");
    return true;
}

static bool demo_make_folder(struct demo *demo, const char *given, struct error *error)
{
    const char *temporary = getenv("TMPDIR");
    demo->keep = given != NULL;
    if (given == NULL) {
        snprintf(demo->folder, sizeof demo->folder, "%s/weir-demo-XXXXXX",
                 temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
        return mkdtemp(demo->folder) != NULL ||
               error_set_errno(error, errno, "cannot make the folder %s", demo->folder);
    }
    if (mkdir(given, 0755) != 0 && errno != EEXIST)
        return error_set_errno(error, errno, "cannot make the folder %s", given);
    char *whole = realpath(given, NULL);
    bool fits = whole != NULL && strlen(whole) < sizeof demo->folder;
    if (fits)
        memcpy(demo->folder, whole, strlen(whole) + 1);
    free(whole);
    if (!fits)
        return error_set(error, "cannot use the folder %s", given);
    char path[512];
    demo_path(demo, "weir.yaml", path);
    demo->found = access(path, F_OK) == 0;
    return true;
}

static void demo_write_config(const struct demo *demo, struct text *text)
{
    text_print(
        text,
        "# What weir demo serves. weir.yaml(5) explains every key; `weir explain` says what would happen to a request.\n"
        "workers: 2\n"
        "listeners:\n"
        "  - address: \"127.0.0.1:%u\"\n"
        "    tls: { certificates: [{ cert: cert.pem, key: key.pem }] }\n"
        "  - address: \"127.0.0.1:%u\"\n"
        "    routes:\n"
        "      - redirect: { scheme: https, port: %u }\n"
        "rate_limits:\n"
        "  few: { rate: 2/s, burst: 3, key: client.ip }\n"
        "routes:\n"
        "  - { name: limited, match: { path: /limited }, rate_limit: few, pool: colours }\n"
        "  - { name: canary, match: { header: { x-canary: \"*\" } }, pool: canary }\n"
        "  - { name: hello, match: { path: /hello }, respond: { body: \"hello, ${client.ip}\\n\" } }\n"
        "  - { name: rest, pool: colours }\n"
        "pools:\n",
        demo->tls_port, demo->plain_port, demo->tls_port);
    text_add(
        text,
        SPAN("  colours:\n    balance: round_robin\n    health: { path: /, interval: 2s }\n    servers:\n"));
    for (unsigned i = 0; i < DEMO_BACKENDS; i++)
        text_print(text, "      - { name: %s, address: \"127.0.0.1:%u\" }\n", demo_backend_names[i],
                   demo_backends_port(demo->backends, i));
    text_print(text, "  canary:\n    servers:\n      - { name: %s, address: \"127.0.0.1:%u\" }\n",
               demo_backend_names[DEMO_BACKENDS - 1], demo_backends_port(demo->backends, DEMO_BACKENDS - 1));
}

static bool demo_write_file(const char *path, struct span bytes, struct error *error)
{
    int descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool written = descriptor >= 0 && write(descriptor, bytes.at, bytes.length) == (ssize_t)bytes.length;
    if (!written)
        error_set_errno(error, errno, "cannot write %s", path);
    if (descriptor >= 0)
        close(descriptor);
    return written;
}

static bool demo_make_files(struct demo *demo, struct error *error)
{
    char certificate[512], key[512], config[512];
    demo_path(demo, "cert.pem", certificate);
    demo_path(demo, "key.pem", key);
    demo_path(demo, "weir.yaml", config);
    struct text text = text_growing();
    demo_write_config(demo, &text);
    bool made = tls_self_signed(certificate, key, "DNS:localhost,IP:127.0.0.1,IP:::1", error) &&
                demo_write_file(config, text_span(&text), error);
    text_free(&text);
    return made;
}

static bool demo_load(struct demo *demo, struct error *error)
{
    char path[512];
    demo_path(demo, "weir.yaml", path);
    struct schema_report *report = schema_report_new();
    demo->config = config_load(path, report);
    if (demo->config == NULL) {
        struct text why = text_growing();
        schema_report_first(report, &why);
        error_set(error, "%s", why.at);
        text_free(&why);
    }
    schema_report_free(report);
    return demo->config != NULL;
}

/* Of "127.0.0.1:8443"; 0: it has none. */
static uint16_t demo_port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    uint64_t port;
    return colon != NULL && text_to_number(span_of(colon + 1), UINT16_MAX, &port) ? (uint16_t)port : 0;
}

/* Where a file of the demo's own has the backend of that name; 0: nowhere. */
static uint16_t demo_find_backend(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->pools_count; i++)
        for (size_t j = 0; j < config->pools[i].servers_count; j++)
            if (strcmp(config->pools[i].servers[j].name, name) == 0)
                return demo_port_of(config->pools[i].servers[j].address);
    return 0;
}

/* The file that an earlier demo wrote, and the user may have edited: backends where it has them. */
static bool demo_use_found(struct demo *demo, struct error *error)
{
    uint16_t ports[DEMO_BACKENDS];
    if (!demo_load(demo, error))
        return false;
    for (size_t i = 0; i < DEMO_BACKENDS; i++)
        ports[i] = demo_find_backend(demo->config, demo_backend_names[i]);
    for (size_t i = 0; i < demo->config->listeners_count; i++) {
        const struct listener_config *listener = &demo->config->listeners[i];
        uint16_t *port = listener->tls != NULL ? &demo->tls_port : &demo->plain_port;
        *port = *port != 0 ? *port : demo_port_of(listener->address);
    }
    demo->backends = demo_backends_new(ports, error);
    return demo->backends != NULL;
}

static bool demo_make(struct demo *demo, uint16_t port, struct error *error)
{
    static const uint16_t any[DEMO_BACKENDS];
    demo->backends = demo_backends_new(any, error);
    return demo->backends != NULL && demo_choose_ports(demo, port, error) && demo_make_files(demo, error) &&
           demo_load(demo, error);
}

static void demo_print(void *argument)
{
    const struct demo *demo = argument;
    printf("weir serves %s/weir.yaml%s.", demo->folder, demo->found ? " as it was found" : "");
    if (demo->tls_port != 0)
        printf(
            " Try:\n\n"
            "  curl --cacert %s/cert.pem https://localhost:%u/            each backend in turn\n"
            "  curl --cacert %s/cert.pem https://localhost:%u/hello       answered by weir itself\n"
            "  curl --cacert %s/cert.pem -H 'X-Canary: 1' https://localhost:%u/   always %s\n"
            "  curl --cacert %s/cert.pem -i 'https://localhost:%u/limited?[1-5]'  the last are refused: 2 a "
            "second",
            demo->folder, demo->tls_port, demo->folder, demo->tls_port, demo->folder, demo->tls_port,
            demo_backend_names[DEMO_BACKENDS - 1], demo->folder, demo->tls_port);
    if (demo->plain_port != 0)
        printf("\n  curl -i http://localhost:%u/                               sent to https",
               demo->plain_port);
    printf("\n\nEdit the file and `kill -HUP %d`: it is reloaded. Ctrl-C ends%s. The access log follows.\n\n",
           (int)getpid(), demo->keep ? "" : " and removes the folder");
    fflush(stdout);
}

static int demo_serve(struct demo *demo)
{
    char path[512];
    demo_path(demo, "weir.yaml", path);
    const struct control_options options = {.path = path, .ready = demo_print, .argument = demo};
    return control_run(&options);
}

static void demo_clean(struct demo *demo)
{
    demo_backends_free(demo->backends);
    config_free(demo->config);
    if (demo->keep || demo->folder[0] == '\0')
        return;
    for (size_t i = 0; i < COUNT_OF(demo_files); i++) {
        char path[512];
        demo_path(demo, demo_files[i], path);
        unlink(path);
    }
    rmdir(demo->folder);
}

static int demo_run(uint16_t port, const char *folder)
{
    struct demo demo = {.folder = ""};
    struct error error;
    signals_block(); /* before the backends' thread is made */
    bool made = demo_make_folder(&demo, folder, &error);
    if (made && port != 0 && demo.found)
        made = error_set(
            &error, "%s/weir.yaml is there and says its own ports; leave --port out, or give another folder",
            demo.folder);
    made = made && (demo.found ? demo_use_found(&demo, &error) : demo_make(&demo, port, &error)) &&
           demo_backends_start(demo.backends, demo.config, &error);
    if (!made)
        fprintf(stderr, "weir demo: %s\n", error.text);
    int code = made ? demo_serve(&demo) : EXIT_FAILED;
    demo_clean(&demo);
    return code;
}

int cli_demo(int argc, char **argv)
{
    enum { PORT, FOLDER };
    static const struct option_row rows[] = {
        [PORT] = {"port", 'p', "N",
                  "https on this port and http on the one after it (default 8443, or any if it is taken)"},
        [FOLDER] =
            {"dir", 'd', "DIR",
             "write certificate and configuration there, and keep them; a weir.yaml that is there is served as it is"},
        {NULL, 0, NULL, NULL},
    };
    struct options options = {
        .command = "demo",
        .arguments = "[--port N] [--dir DIR]",
        .summary = "Serves three built-in backends behind TLS, with a certificate made on the spot.",
        .rows = rows,
    };
    uint64_t port = 0;
    const char *value, *folder = NULL;
    int row;
    options_begin(&options, argc, argv);
    while ((row = options_next(&options, &value)) >= 0) {
        if (row == FOLDER)
            folder = value;
        else if (!text_to_number(span_of(value), 65534, &port) || port == 0) {
            options_complain(&options, "--port %s: a number from 1 to 65534 is wanted", value);
            return EXIT_USAGE;
        }
    }
    if (row == OPTIONS_END && (value = options_argument(&options)) != NULL)
        row = options_complain(&options, "unexpected argument \"%s\"", value);
    if (row != OPTIONS_END)
        return row == OPTIONS_HELP ? EXIT_OK : EXIT_USAGE;
    return demo_run((uint16_t)port, folder);
}
