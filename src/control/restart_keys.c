/* The table of these keys. */
#include "control/restart_keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/log.h"
#include "config/config.h"
#include "control/cores.h"

#define WORKERS_MOST 256

static void print_workers(const struct restart_facts *facts, char *text, size_t room)
{
    (void)snprintf(text, room, "%u", facts->workers);
}

static void print_user(const struct restart_facts *facts, char *text, size_t room)
{
    (void)snprintf(text, room, "%s", facts->user != NULL ? facts->user : "none");
}

static const struct {
    const char *path;
    void (*print)(const struct restart_facts *facts, char *text, size_t room);
} restart_keys[] = {{"workers", print_workers}, {"user", print_user}};

unsigned restart_workers(const struct config *config)
{
    unsigned count = config->workers > 0 ? (unsigned)config->workers : cores_available();
    return count < WORKERS_MOST ? count : WORKERS_MOST;
}

void restart_facts_take(struct restart_facts *facts, const struct config *config)
{
    facts->workers = restart_workers(config);
    facts->user = config->user != NULL ? xstrdup(config->user) : NULL;
}

void restart_facts_end(struct restart_facts *facts)
{
    free(facts->user);
    facts->user = NULL;
}

void restart_keys_tell(const struct restart_facts *facts, const struct config *config)
{
    struct restart_facts file;
    restart_facts_take(&file, config);
    for (size_t i = 0; i < COUNT_OF(restart_keys); i++) {
        char runs[256], wanted[256];
        restart_keys[i].print(facts, runs, sizeof runs);
        restart_keys[i].print(&file, wanted, sizeof wanted);
        if (strcmp(runs, wanted) != 0)
            log_warn("control", "a key of the file takes effect with a restart only",
                     KV("key", restart_keys[i].path), KV("now", runs), KV("wanted", wanted));
    }
    restart_facts_end(&file);
}

bool restart_keys_have(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(restart_keys); i++)
        if (strcmp(restart_keys[i].path, path) == 0)
            return true;
    return false;
}
