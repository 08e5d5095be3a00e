/* Problems of a file for people: colour only where it can be seen and is wanted (https://no-color.org). */
#include "cli/report.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
