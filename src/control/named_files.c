/* One walk over the keys that are paths; what is asked of each file depends on what its key is for. */
#include "control/named_files.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/attributes.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "base/text.h"
#include "config/config.h"
#include "control/privileges.h"
#include "schema/schema.h"
#include "schema/schema_report.h"

#define TOLD_MOST 20u /* lines of the log; the others are counted */

/* ---- the files ---- */

enum file_kind { FILE_READ, FILE_SECRET, FILE_LOG, FILE_SOCKET };
struct named_file {
    const char *path;
    const char *const *field; /* NULL: the file itself, or one that it includes */
    enum file_kind kind;
    const char *holds; /* of a secret */
};
struct files {
    void (*each)(void *owner, const struct named_file *file);
    void *owner;
    struct map *seen; /* by path */
};

static void files_tell(struct files *files, const struct named_file *file)
{
    if (map_get(files->seen, span_of(file->path)) != NULL)
        return;
    map_set(files->seen, span_of(file->path), files);
    files->each(files->owner, file);
}

static bool is_file(const struct schema_key *key, const char *path)
{
    for (size_t i = 0; key->choices != NULL && key->choices[i] != NULL; i++)
        if (strcmp(path, key->choices[i]) == 0)
            return false;
    return strncmp(path, "unix:", 5) != 0;
}

static void files_key(void *owner, const struct schema_key *key, const char *const *field)
{
    enum schema_type type = key->type == SCHEMA_TEXTS ? key->item : key->type;
    if (type != SCHEMA_PATH || !is_file(key, *field))
        return;
    bool secret = (key->flags & SCHEMA_SECRET_FILE) != 0;
    files_tell(owner, &(struct named_file){*field, field,
                                           secret                 ? FILE_SECRET
                                           : key->choices != NULL ? FILE_LOG
                                                                  : FILE_READ,
                                           strcmp(key->name, "key") == 0 ? "the key" : "the secret"});
}

static void files_each(const struct config *config, void (*each)(void *owner, const struct named_file *file),
                       void *owner)
{
    struct files files = {.each = each, .owner = owner, .seen = map_new()};
    for (size_t i = 0; i < config->sources.count; i++)
        files_tell(&files, &(struct named_file){config->sources.items[i], NULL, FILE_READ, NULL});
    schema_each_text(&config_schema, config, files_key, &files);
    for (size_t i = 0; i < config->listeners_count; i++) {
        const char *const *address = &config->listeners[i].address;
        if (strncmp(*address, "unix:", 5) == 0)
            files_tell(&files, &(struct named_file){*address + 5, address, FILE_SOCKET, NULL});
    }
    map_free(files.seen);
}

/* ---- secrets ---- */

struct checking {
    const struct config *config;
    const struct schema_document *document;
    struct schema_report *report;
    const struct reader *reader;
    struct map *seen;
};

static void warn_at(const struct checking *checking, const void *field, const char *text)
{
    struct schema_place place = field != NULL ? schema_place(checking->document, field) : SCHEMA_NOWHERE;
    schema_report_add(checking->report, SCHEMA_WARNING, place, "%s", text);
}

static void check_openness(const struct checking *checking, const char *path, const void *field,
                           const char *holds)
{
    struct stat status;
    struct error line;
    if (stat(path, &status) != 0 || (status.st_mode & (S_IROTH | S_IWOTH)) == 0)
        return;
    error_set(&line, "%s: every user of this machine can read or write %s; chmod 600 takes that away", path,
              holds);
    warn_at(checking, field, line.text);
}

static void check_secret_file(void *owner, const struct named_file *file)
{
    if (file->kind == FILE_SECRET)
        check_openness(owner, file->path, file->field, file->holds);
}

/* Whether the text stands in the file as it is, and is not of the environment. */
static bool stands_in_file(struct schema_place place)
{
    if (place.source == NULL || !place.source->is_file)
        return false;
    struct span line = schema_source_line(place.source, place.line);
    line = place.column <= line.length ? span_skip(line, place.column - 1) : SPAN_NONE;
    line = span_first(line, place.length);
    return memmem(line.at, line.length, "${env.", 6) == NULL;
}

static void check_written_secret(void *owner, const struct schema_key *key, const char *const *field)
{
    struct checking *checking = owner;
    if ((key->flags & SCHEMA_SECRET) == 0)
        return;
    struct schema_place place = schema_place(checking->document, field);
    if (!stands_in_file(place) || map_get(checking->seen, span_of(place.source->name)) != NULL)
        return;
    map_set(checking->seen, span_of(place.source->name), checking);
    check_openness(checking, place.source->name, field, "the secret that stands in it");
}

void named_files_check_secrets(const struct config *config, const struct schema_document *document,
                               struct schema_report *report)
{
    struct checking checking = {config, document, report, NULL, map_new()};
    files_each(config, check_secret_file, &checking);
    schema_each_text(&config_schema, config, check_written_secret, &checking);
    map_free(checking.seen);
}

/* ---- what is in the way of whom ---- */

struct reader {
    bool (*may)(const char *path, int how); /* R_OK, W_OK, X_OK */
    const char *who, *cannot;               /* "user ", " cannot" */
};

/* Not root. Of an owner or a group that is not root's nothing is known. */
static bool others_may(const char *path, int how)
{
    struct stat status;
    unsigned bits = (unsigned)how; /* those of a mode are the same numbers */
    return stat(path, &status) != 0 || status.st_uid != 0 || (status.st_mode & bits) != 0 ||
           (status.st_gid != 0 && (status.st_mode & (bits << 3)) != 0);
}

static bool process_may(const char *path, int how)
{
    return faccessat(AT_FDCWD, path, how, AT_EACCESS) == 0;
}

static const struct reader reader_not_root = {others_may, "only root can", ""};
static const struct reader reader_this = {process_may, "user \"", "\" cannot"};

/* The folder of the path that can't be entered, or the path; false: nothing is in the way. */
static bool way_is_barred(const struct reader *reader, const char *path, int how, char *bar, size_t room)
{
    for (const char *slash = path; (slash = strchr(slash + 1, '/')) != NULL;) {
        (void)snprintf(bar, room, "%.*s", (int)(slash - path), path);
        if (!reader->may(bar, X_OK))
            return true;
    }
    (void)snprintf(bar, room, "%s", path);
    return !reader->may(path, how);
}

/* Nothing can be made in the folder of the path, or removed from it. */
static bool folder_is_barred(const struct reader *reader, const char *path)
{
    char folder[4096], bar[4096];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL)
        return !reader->may(".", W_OK | X_OK);
    slash[slash == folder] = '\0';
    return way_is_barred(reader, folder, X_OK, bar, sizeof bar) || !reader->may(folder, W_OK);
}

/* After it was moved away a log is made anew; else it is opened as it is. */
static bool log_is_barred(const struct reader *reader, const char *path)
{
    char bar[4096];
    struct stat status;
    if (!way_is_barred(reader, path, W_OK, bar, sizeof bar) && stat(path, &status) == 0)
        return false;
    return folder_is_barred(reader, path);
}

/* What goes wrong and how it is mended; false: nothing does. */
static bool file_trouble(const struct reader *reader, const char *user, const struct named_file *file,
                         struct error *line)
{
    char bar[4096], who[256];
    bool this = reader == &reader_this;
    (void)snprintf(who, sizeof who, "%s%s%s", reader->who, this ? user : "", reader->cannot);
    if (file->kind == FILE_LOG)
        return log_is_barred(reader, file->path) &&
               !error_set(
                   line,
                   "%s: %s open this log again, so once weir is user \"%s\" SIGUSR1 and rotation fail; "
                   "chown it and its folder to that user",
                   file->path, who, user);
    if (file->kind == FILE_SOCKET)
        return folder_is_barred(reader, file->path) &&
               !error_set(
                   line,
                   "%s: %s make or remove a socket in its folder, so once weir is user \"%s\" a reload "
                   "that adds one there fails, and none is removed; chown the folder to that user",
                   file->path, who, user);
    if (!way_is_barred(reader, file->path, R_OK, bar, sizeof bar))
        return false;
    bool folder = strcmp(bar, file->path) != 0;
    error_set(
        line,
        "%s: %s %s %s, so once weir is user \"%s\" every reload fails; chgrp it to a group of that user "
        "and chmod %s",
        file->path, who, folder ? "enter" : "read", folder ? bar : "it", user, folder ? "g+x" : "g+r");
    return true;
}

static void check_reach(void *owner, const struct named_file *file)
{
    const struct checking *checking = owner;
    struct error line;
    if (file_trouble(checking->reader, checking->config->user, file, &line))
        warn_at(checking, file->field, line.text);
}

static const char check_root_text[] =
    "started by who runs this check, weir serves as root, as which a fault in it is one of the whole machine; name "
    "a `user` that it becomes once its addresses are open, or start it as another one, as its unit does";

void named_files_check_root(const struct config *config, bool files, const struct schema_document *document,
                            struct schema_report *report)
{
    struct checking checking = {config, document, report, &reader_not_root, NULL};
    if (config->user == NULL && geteuid() == 0)
        warn_at(&checking, NULL, check_root_text);
    else if (config->user != NULL && privileges_is_root(config->user))
        warn_at(&checking, &config->user, check_root_text);
    else if (config->user != NULL && files)
        files_each(config, check_reach, &checking);
}

static void check_as_user(void *owner)
{
    struct checking *checking = owner;
    files_each(checking->config, check_reach, checking);
}

void named_files_check_user(const struct config *config, const struct schema_document *document,
                            struct schema_report *report)
{
    struct checking checking = {config, document, report, &reader_this, NULL};
    struct error error;
    if (!privileges_as(config->user, check_as_user, &checking, &error))
        schema_report_add(report, SCHEMA_ERROR, schema_place(document, &config->user), "%s", error.text);
}

/* ---- at a start ---- */

struct telling {
    const struct config *config;
    size_t count;
};

static void tell_reach(void *owner, const struct named_file *file)
{
    struct telling *telling = owner;
    struct error line;
    if (file_trouble(&reader_this, telling->config->user, file, &line) && telling->count++ < TOLD_MOST)
        log_warn("control", "a file is out of reach of the user that weir has become", KV("what", line.text));
}

void named_files_tell(const struct config *config)
{
    struct telling telling = {config, 0};
    if (geteuid() == 0)
        log_warn(
            "control",
            "weir serves as root, as which a fault in it is one of the whole machine; name a `user` that it "
            "becomes once its addresses are open, or start it as another one, as its unit does",
            KV_NONE);
    else if (config->user != NULL)
        files_each(config, tell_reach, &telling);
    if (telling.count > TOLD_MOST)
        log_warn("control", "further files are out of reach of the user that weir has become",
                 KV_NUMBER("number", telling.count - TOLD_MOST));
}
