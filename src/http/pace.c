/* One time for each: when it is over. */
#include "http/pace.h"

static void pace_take(struct pace *pace, uint64_t taken, uint64_t now, const struct pace_rule *rule)
{
    uint64_t got = taken > pace->taken ? taken - pace->taken : 0, most = now + 2 * rule->length;
    uint64_t bought = got == 0 ? 0 : rule->least == 0 ? most : got * 1000 / rule->least;
    pace->due = bought < most && pace->due + bought < most ? pace->due + bought : most;
    pace->taken = taken;
}

void pace_begin(struct pace *pace, uint64_t taken, uint64_t now, const struct pace_rule *rule)
{
    if (pace_runs(pace))
        return;
    pace->due = now + rule->length;
    pace_take(pace, taken, now, rule);
}

bool pace_is_slow(struct pace *pace, uint64_t taken, uint64_t now, const struct pace_rule *rule,
                  uint64_t *next)
{
    pace_begin(pace, taken, now, rule);
    pace_take(pace, taken, now, rule);
    if (now >= pace->due)
        return true;
    *next = pace->due < *next ? pace->due : *next;
    return false;
}
