/* Problems of a file for people: colour only where it can be seen and is wanted (https://no-color.org). */
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "schema/schema_report.h"

static bool wants_colour(FILE *to)
{
    const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");
    bool is_dumb = terminal == NULL || strcmp(terminal, "dumb") == 0;
    return (no_color == NULL || no_color[0] == '\0') && !is_dumb && isatty(fileno(to)) == 1;
}

void report_print(struct schema_report *report, FILE *to)
{
    if (schema_report_errors(report) + schema_report_warnings(report) == 0)
        return;
    struct text text = text_growing();
    schema_report_print(report, &text, wants_colour(to));
    schema_report_sum(report, &text);
    (void)fprintf(to, "%s\n", text.at);
    text_free(&text);
}

/* ---- github ---- */

/* Of a workflow command's text: what would end the line or a property is escaped. */
static void github_escape(struct text *to, const char *value, bool property)
{
    for (; *value != '\0'; value++)
        if (*value == '%' || *value == '\n' || *value == '\r' ||
            (property && (*value == ':' || *value == ',')))
            text_print(to, "%%%02X", (unsigned char)*value);
        else
            text_char(to, *value);
}

static void github_message(void *owner, const struct schema_message *message)
{
    static const char *const levels[] = {
        [SCHEMA_ERROR] = "error", [SCHEMA_WARNING] = "warning", [SCHEMA_NOTE] = "notice"};
    struct text *text = owner;
    text_print(text, "::%s", levels[message->severity]);
    if (message->file != NULL) {
        text_add(text, SPAN(" file="));
        github_escape(text, message->file, true);
        if (message->line != 0)
            text_print(text, ",line=%u,col=%u", message->line, message->column);
    }
    text_add(text, SPAN("::"));
    github_escape(text, message->text, false);
    text_char(text, '\n');
}

static void notices_each(const struct report_notices *notices,
                         void (*tell)(void *owner, const struct schema_message *message), void *owner)
{
    for (size_t i = 0; i < notices->count; i++) {
        const struct schema_message message = {
            .severity = SCHEMA_NOTE, .file = notices->file, .text = notices->sentences[i]};
        tell(owner, &message);
    }
}

void report_print_github(struct schema_report *report, const struct report_notices *notices, FILE *to)
{
    struct text text = text_growing();
    schema_report_each(report, github_message, &text);
    notices_each(notices, github_message, &text);
    (void)fputs(text.at, to);
    text_free(&text);
}

/* ---- SARIF ---- */

static void sarif_text(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_object(json);
    json_key(json, "text");
    json_string(json, span_of(text));
    json_end_object(json);
}

/* A path as a reference of RFC 3986: what a URI cannot have is escaped, and so is a colon, which would end a
 * scheme. */
static void uri_print(struct text *to, const char *path)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=@";
    if (path[0] == '/')
        text_add(to, SPAN("file://"));
    for (; *path != '\0'; path++)
        if (strchr(plain, *path) != NULL)
            text_char(to, *path);
        else
            text_print(to, "%%%02X", (unsigned char)*path);
}

static void sarif_place(struct json *json, const struct schema_message *message)
{
    json_object(json);
    json_key(json, "physicalLocation");
    json_object(json);
    json_key(json, "artifactLocation");
    json_object(json);
    struct text uri = text_growing();
    uri_print(&uri, message->file);
    json_key(json, "uri");
    json_string(json, text_span(&uri));
    text_free(&uri);
    json_end_object(json);
    if (message->line != 0) {
        json_key(json, "region");
        json_object(json);
        json_key(json, "startLine");
        json_number(json, message->line);
        json_key(json, "startColumn");
        json_number(json, message->column);
        json_end_object(json);
    }
    json_end_object(json);
    json_end_object(json);
}

static void sarif_message(void *owner, const struct schema_message *message)
{
    static const char *const levels[] = {
        [SCHEMA_ERROR] = "error", [SCHEMA_WARNING] = "warning", [SCHEMA_NOTE] = "note"};
    struct json *json = owner;
    json_object(json);
    json_key(json, "ruleId");
    json_string(json, SPAN("weir-check"));
    json_key(json, "level");
    json_string(json, span_of(levels[message->severity]));
    sarif_text(json, "message", message->text);
    json_key(json, "locations");
    json_array(json);
    if (message->file != NULL)
        sarif_place(json, message);
    json_end_array(json);
    json_end_object(json);
}

static void sarif_tool(struct json *json)
{
    json_key(json, "tool");
    json_object(json);
    json_key(json, "driver");
    json_object(json);
    json_key(json, "name");
    json_string(json, SPAN("weir check"));
    json_key(json, "version");
    json_string(json, SPAN(PACKAGE_VERSION));
    json_key(json, "rules");
    json_array(json);
    json_object(json);
    json_key(json, "id");
    json_string(json, SPAN("weir-check"));
    sarif_text(json, "shortDescription", "What is wrong with a configuration of weir");
    json_end_object(json);
    json_end_array(json);
    json_end_object(json);
    json_end_object(json);
}

void report_print_sarif(struct schema_report *report, const struct report_notices *notices, FILE *to)
{
    struct text text = text_growing();
    struct json json;
    json_begin(&json, &text);
    json_object(&json);
    json_key(&json, "$schema");
    json_string(&json, SPAN("https://json.schemastore.org/sarif-2.1.0.json"));
    json_key(&json, "version");
    json_string(&json, SPAN("2.1.0"));
    json_key(&json, "runs");
    json_array(&json);
    json_object(&json);
    sarif_tool(&json);
    json_key(&json, "columnKind");
    json_string(&json, SPAN("unicodeCodePoints"));
    json_key(&json, "results");
    json_array(&json);
    schema_report_each(report, sarif_message, &json);
    notices_each(notices, sarif_message, &json);
    json_end_array(&json);
    json_end_object(&json);
    json_end_array(&json);
    json_end_object(&json);
    (void)fprintf(to, "%s\n", text.at);
    text_free(&text);
}
