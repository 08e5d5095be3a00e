#include "base/log_crowd.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/log_fold.h"
#include "base/log_writer.h"

static struct log_crowd *log_crowds; /* those that ever counted a line instead of writing it */
static pthread_mutex_t log_crowds_lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t key_of(const char *sentence, const char *group, const char *why)
{
    uint64_t key = hash_keyed_seed(span_of(sentence), 1);
    key = hash_keyed_seed(span_of(group), key);
    return hash_keyed_seed(span_of(why), key) | 1;
}

static struct log_crowd_place *place_of(struct log_crowd *crowd, uint64_t key)
{
    struct log_crowd_place *free_place = NULL;
    for (unsigned i = 0; i < LOG_CROWD_PLACES; i++) {
        if (crowd->places[i].key == key)
            return &crowd->places[i];
        if (crowd->places[i].key == 0 && free_place == NULL)
            free_place = &crowd->places[i];
    }
    return free_place;
}

/* A place that has nothing to tell is free for another second's. */
static void second_begins(struct log_crowd *crowd, uint64_t second)
{
    if (crowd->second == second)
        return;
    crowd->second = second;
    crowd->written = 0;
    for (unsigned i = 0; i < LOG_CROWD_PLACES; i++) {
        crowd->places[i].written = 0;
        if (crowd->places[i].repeated == 0)
            crowd->places[i].key = 0;
    }
}

static void list_crowd(struct log_crowd *crowd)
{
    if (crowd->listed)
        return;
    crowd->listed = true;
    pthread_mutex_lock(&log_crowds_lock); /* once in its life */
    crowd->next = log_crowds;
    log_crowds = crowd;
    pthread_mutex_unlock(&log_crowds_lock);
}

static void keep_text(char to[LOG_CROWD_TEXT], const char *text)
{
    (void)snprintf(to, LOG_CROWD_TEXT, "%s", text);
}

/* Whether the line is only counted. */
static bool crowd_counts(struct log_crowd *crowd, const struct log_crowd_place *line)
{
    struct log_crowd_place *place = place_of(crowd, line->key);
    if (place == NULL) {
        crowd->homeless_level = line->level;
        crowd->homeless_sentence = line->sentence;
        crowd->homeless++;
        return true;
    }
    bool equal = place->key == line->key && place->written != 0 && place->content == line->content;
    if (place->key != line->key)
        *place = *line;
    if (equal || place->written >= LOG_CROWD_LINES || crowd->written >= LOG_CROWD_MOST) {
        place->repeated++;
        return true;
    }
    place->content = line->content;
    place->written++;
    crowd->written++;
    return false;
}

void log_crowd_write(struct log_crowd *crowd, enum log_level level, const char *sentence, const char *group,
                     const char *why, const struct log_pair *pairs)
{
    char memory[LOG_LINE_MOST];
    struct log_crowd_place line = {.level = level, .sentence = sentence};
    if (level < log_level)
        return;
    line.key = key_of(sentence, group, why);
    line.content = log_content(pairs);
    keep_text(line.group, group);
    keep_text(line.why, why);
    pthread_mutex_lock(&crowd->lock);
    second_begins(crowd, log_second());
    bool counted = crowd_counts(crowd, &line);
    if (counted)
        list_crowd(crowd);
    pthread_mutex_unlock(&crowd->lock);
    if (counted)
        return;
    size_t length = log_print_line(memory, level, crowd->subject, sentence, pairs);
    (void)!log_line(LOG_TARGET_LOG, span_make(memory, length)); /* a dropped line is counted there */
}

/* ---- what was counted, told by the log thread ---- */

static size_t tell_place(const struct log_crowd *crowd, struct log_crowd_place *place, char *line)
{
    const struct log_pair with_why[] = {KV(crowd->group_key, place->group), KV("why", place->why),
                                        KV_NUMBER("repeated", place->repeated), KV_NONE};
    const struct log_pair without[] = {KV(crowd->group_key, place->group),
                                       KV_NUMBER("repeated", place->repeated), KV_NONE};
    place->repeated = 0;
    return log_print_line(line, place->level, crowd->subject, place->sentence,
                          place->why[0] != '\0' ? with_why : without);
}

static size_t tell_homeless(struct log_crowd *crowd, char *line)
{
    const struct log_pair pairs[] = {KV(crowd->group_key, "(others)"), KV_NUMBER("repeated", crowd->homeless),
                                     KV_NONE};
    crowd->homeless = 0;
    return log_print_line(line, crowd->homeless_level, crowd->subject, crowd->homeless_sentence, pairs);
}

static size_t tell_next(struct log_crowd *crowd, char *line, bool all)
{
    size_t length = 0;
    pthread_mutex_lock(&crowd->lock);
    bool over = all || crowd->second != log_second();
    for (unsigned i = 0; i < LOG_CROWD_PLACES && over && length == 0; i++)
        if (crowd->places[i].repeated != 0)
            length = tell_place(crowd, &crowd->places[i], line);
    if (over && length == 0 && crowd->homeless != 0)
        length = tell_homeless(crowd, line);
    pthread_mutex_unlock(&crowd->lock);
    return length;
}

size_t log_crowd_line(char *line, bool all)
{
    size_t length = 0;
    pthread_mutex_lock(&log_crowds_lock);
    struct log_crowd *first = log_crowds;
    pthread_mutex_unlock(&log_crowds_lock);
    for (struct log_crowd *crowd = first; crowd != NULL && length == 0; crowd = crowd->next)
        length = tell_next(crowd, line, all);
    return length;
}
