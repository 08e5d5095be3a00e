/* Formats lines of the log, and folds repeats. Where they go is left to log_writer.c. */
#include "base/log.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/attributes.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log_fold.h"
#include "base/log_writer.h"
#include "base/text.h"

#define LOG_LINES_A_SECOND 32u /* of one call site */

_Atomic(enum log_level) log_level = LOG_LEVEL_INFO;

static _Atomic(enum log_format) log_format = LOG_FORMAT_LOGFMT;
static struct log_site *log_sites; /* those that ever folded */
static pthread_mutex_t log_sites_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const log_level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug", [LOG_LEVEL_INFO] = "info", [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_ERROR] = "error", [LOG_LEVEL_OFF] = "off",
};

/* The front of a value that surely fits however much of it is escaped; each byte takes six at most. */
static struct span log_fitting(const struct text *line, struct span value)
{
    enum { KEPT_FOR_THE_END = 48 };
    size_t left = line->room - line->length;
    size_t fits = left > KEPT_FOR_THE_END ? (left - KEPT_FOR_THE_END) / 6 : 0;
    return span_first(value, value.length < fits ? value.length : fits);
}

static bool log_needs_quotes(struct span value)
{
    for (size_t i = 0; i < value.length; i++) {
        unsigned char c = (unsigned char)value.at[i];
        if (c <= ' ' || c > 0x7e || c == '"' || c == '=' || c == '\\')
            return true;
    }
    return value.length == 0;
}

static void log_add_logfmt(struct text *line, const char *key, struct span value)
{
    text_char(line, ' ');
    text_add(line, span_of(key));
    text_char(line, '=');
    if (!log_needs_quotes(value)) {
        text_add(line, value);
        return;
    }
    json_text_string(line, value); /* readers of logfmt take the escapes of JSON */
}

static void log_format_logfmt(struct text *line, const char *const head[4], const struct log_pair *pairs)
{
    text_print(line, "time=%s level=%s subject=%s", head[0], head[1], head[2]);
    log_add_logfmt(line, "message", log_fitting(line, span_of(head[3])));
    for (; pairs->key != NULL; pairs++) {
        if (line->room - line->length < strlen(pairs->key) + 64)
            break;
        if (pairs->is_number)
            text_print(line, " %s=%lld", pairs->key, (long long)pairs->number);
        else
            log_add_logfmt(line, pairs->key, log_fitting(line, pairs->text));
    }
}

static void log_format_json(struct text *line, const char *const head[4], const struct log_pair *pairs)
{
    static const char *const keys[4] = {"time", "level", "subject", "message"};
    struct json json;
    json_begin(&json, line);
    json_object(&json);
    for (unsigned i = 0; i < COUNT_OF(keys); i++) {
        json_key(&json, keys[i]);
        json_string(&json, log_fitting(line, span_of(head[i])));
    }
    for (; pairs->key != NULL; pairs++) {
        if (line->room - line->length < strlen(pairs->key) + 64)
            break;
        json_key(&json, pairs->key);
        if (pairs->is_number)
            json_number(&json, pairs->number);
        else
            json_string(&json, log_fitting(line, pairs->text));
    }
    json_end_object(&json);
}

static void log_format_line(struct text *line, enum log_level level, const char *subject,
                            const char *sentence, const struct log_pair *pairs)
{
    char time[25];
    clock_print(time, clock_wall_us());
    const char *const head[4] = {time, log_level_names[level], subject, sentence};
    if (atomic_load_explicit(&log_format, memory_order_relaxed) == LOG_FORMAT_JSON)
        log_format_json(line, head, pairs);
    else
        log_format_logfmt(line, head, pairs);
    text_char(line, '\n');
}

size_t log_print_line(char *line, enum log_level level, const char *subject, const char *sentence,
                      const struct log_pair *pairs)
{
    struct text text = text_over(line, LOG_LINE_MOST);
    log_format_line(&text, level, subject, sentence, pairs);
    return text.length;
}

uint64_t log_second(void)
{
    return clock_monotonic_us() / 1000000u + 1;
}

uint64_t log_content(const struct log_pair *pairs)
{
    uint64_t content = 1;
    for (; pairs->key != NULL; pairs++) {
        const char *number = (const char *)&pairs->number;
        struct span value = pairs->is_number ? span_make(number, sizeof pairs->number) : pairs->text;
        content = hash_keyed_seed(value, content);
    }
    return content;
}

/* Puts the site on the list that the log thread walks. */
static void log_list_site(struct log_site *site, enum log_level level, const char *subject,
                          const char *sentence)
{
    if (atomic_load_explicit(&site->listed, memory_order_relaxed) || atomic_exchange(&site->listed, true))
        return;
    site->level = level;
    site->subject = subject;
    site->sentence = sentence;
    pthread_mutex_lock(&log_sites_lock); /* once in the life of a site */
    site->next = log_sites;
    log_sites = site;
    pthread_mutex_unlock(&log_sites_lock);
}

/* Whether the line is only counted. Threads that race here may write a line too many: no harm. */
static bool log_folds(struct log_site *site, uint64_t second, uint64_t content)
{
    uint64_t window = atomic_load_explicit(&site->window, memory_order_relaxed);
    uint32_t written = atomic_load_explicit(&site->written, memory_order_relaxed);
    if (window == second && (atomic_load_explicit(&site->content, memory_order_relaxed) == content ||
                             written >= LOG_LINES_A_SECOND)) {
        atomic_fetch_add_explicit(&site->folded, 1, memory_order_relaxed);
        return true;
    }
    atomic_store_explicit(&site->written, window == second ? written + 1 : 1, memory_order_relaxed);
    atomic_store_explicit(&site->content, content, memory_order_relaxed);
    atomic_store_explicit(&site->window, second, memory_order_relaxed);
    return false;
}

static size_t log_print_folded(struct log_site *site, enum log_level level, const char *subject,
                               const char *sentence, char *line)
{
    uint32_t folded = 0;
    if (atomic_load_explicit(&site->folded, memory_order_relaxed) != 0)
        folded = atomic_exchange_explicit(&site->folded, 0, memory_order_relaxed);
    if (folded == 0)
        return 0;
    const struct log_pair pairs[] = {KV_NUMBER("repeated", folded), {.key = NULL}};
    return log_print_line(line, level, subject, sentence, pairs);
}

size_t log_folded_line(char *line, bool all)
{
    uint64_t second = log_second();
    size_t length = 0;
    pthread_mutex_lock(&log_sites_lock);
    for (struct log_site *site = log_sites; site != NULL && length == 0; site = site->next)
        if (all || atomic_load_explicit(&site->window, memory_order_relaxed) != second)
            length = log_print_folded(site, site->level, site->subject, site->sentence, line);
    pthread_mutex_unlock(&log_sites_lock);
    return length;
}

size_t log_lost_line(char *line, const char *which, size_t lost, const char *why)
{
    const struct log_pair pairs[] = {
        KV("log", which), KV_NUMBER("lines", lost), KV("why", why), {.key = NULL}};
    if (LOG_LEVEL_ERROR < log_level)
        return 0;
    return log_print_line(line, LOG_LEVEL_ERROR, "log", "lines were lost", pairs);
}

void log_format_set(enum log_format format)
{
    atomic_store_explicit(&log_format, format, memory_order_relaxed);
}

void log_write(struct log_site *site, enum log_level level, const char *subject, const char *sentence,
               const struct log_pair *pairs)
{
    if (log_folds(site, log_second(), log_content(pairs))) {
        log_list_site(site, level, subject, sentence);
        return;
    }
    char memory[LOG_LINE_MOST];
    /* What was folded before comes first; the log thread may have told it already. */
    size_t length = log_print_folded(site, level, subject, sentence, memory);
    if (length != 0 && !log_line(LOG_TARGET_LOG, span_make(memory, length)))
        return;
    struct text line = text_over(memory, sizeof memory);
    log_format_line(&line, level, subject, sentence, pairs);
    (void)!log_line(LOG_TARGET_LOG, text_span(&line)); /* a dropped line is counted there */
}
