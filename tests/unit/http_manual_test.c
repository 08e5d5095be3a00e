/* The tables of the manual that stand in the code as tables: failures in weir(8), bounds against floods in
 * weir.yaml(5). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "http/failure.h"
#include "http/h2_guard.h"
#include "unit/unit.h"

static struct text page_read(const char *name)
{
    const char *folder = getenv("srcdir"); /* set by automake */
    char path[4096], piece[4096];
    struct text text = text_growing();
    size_t got;
    (void)snprintf(path, sizeof path, "%s/man/%s", folder != NULL ? folder : ".", name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text_char(&text, '\n');
    while ((got = fread(piece, 1, sizeof piece, file)) > 0)
        text_add(&text, span_make(piece, got));
    fclose(file);
    return text;
}

/* Rows of a section's only table. */
static size_t rows_of(const struct text *page, const char *section)
{
    const char *at = strstr(page->at, section), *end;
    assert_non_null(at);
    end = strstr(at, "\n.El");
    assert_non_null(end);
    size_t count = 0;
    while ((at = strstr(at, "\n.It Cm ")) != NULL && at < end) {
        at++;
        count++;
    }
    return count;
}

static void row_find(const struct text *page, const char *row)
{
    if (strstr(page->at, row) == NULL)
        fail_msg("the manual lacks, or says otherwise:%s", row);
}

static void failures_are_in_the_manual(void **state)
{
    (void)state;
    struct text page = page_read("weir.8");
    char row[400], status[8];
    for (unsigned i = FAILURE_NONE + 1; i < FAILURE_COUNT; i++) {
        const struct failure_info *info = &failure_info[i];
        (void)snprintf(status, sizeof status, info->status != 0 ? "%u" : "-", info->status);
        (void)snprintf(row, sizeof row, "\n.It Cm %s Ta %s Ta %d Ta %s Ta %s\n", info->word, status,
                       (int)info->grpc,
                       info->whose == 'C'   ? "client"
                       : info->whose == 'S' ? "server"
                                            : "weir",
                       info->text);
        row_find(&page, row);
    }
    assert_int_equal(rows_of(&page, "\n.Sh FAILURES\n"), FAILURE_COUNT - 1);
    text_free(&page);
}

static void bounds_against_floods_are_in_the_manual(void **state)
{
    (void)state;
    struct text page = page_read("weir.yaml.5");
    char row[400];
#define X(kind, brim, leak, what)                                                                \
    (void)snprintf(row, sizeof row, "\n.It Cm %s Ta %d Ta %d Ta %s\n", #kind, brim, leak, what); \
    row_find(&page, row);
    H2_GUARDS(X)
#undef X
    assert_int_equal(rows_of(&page, "\n.Ss Floods\n"), H2_GUARD_COUNT);
    text_free(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_are_in_the_manual),
        cmocka_unit_test(bounds_against_floods_are_in_the_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
