/* The arithmetic of the retry budget (a token bucket of moving size); whose it is and what the time is,
 * upstream.c says. */
#include "upstream/retry_budget.h"

#define BASE 10.0   /* tokens that fit in any case, and that a new bucket holds */
#define FLOOR 3.0   /* tokens a second that come even without requests */
#define MEMORY 10.0 /* seconds of earnings that fit */
#define SECOND_US 1000000u
#define SMOOTHING 0.5 /* weight of the newest second in the rate */

/* The second that is being counted may show more already than those before: a rate is not held down while it
 * rises. */
static void budget_cap(struct retry_budget *budget, double share)
{
    double rate = budget->rate > budget->requests ? budget->rate : budget->requests;
    double most = BASE + share * rate * MEMORY;
    if (budget->tokens > most)
        budget->tokens = most;
}

static void budget_begin(struct retry_budget *budget, uint64_t now_us)
{
    if (budget->floor_us != 0)
        return;
    budget->tokens = BASE;
    budget->floor_us = budget->window_us = now_us;
}

/* Ends the second that is counted, when it is over; quiet seconds after it count as none. */
static void budget_roll(struct retry_budget *budget, uint64_t now_us)
{
    uint64_t passed = now_us - budget->window_us;
    if (passed < SECOND_US)
        return;
    double newest = (double)budget->requests * SECOND_US / (double)passed;
    budget->rate += SMOOTHING * (newest - budget->rate);
    if (passed > (uint64_t)(MEMORY * SECOND_US))
        budget->rate = newest;
    budget->requests = 0;
    budget->window_us = now_us;
}

void retry_budget_earn(struct retry_budget *budget, double share, uint64_t now_us)
{
    budget_begin(budget, now_us);
    budget_roll(budget, now_us);
    budget->requests++;
    budget->tokens += share;
    budget->earned += share;
    budget_cap(budget, share);
}

bool retry_budget_spend(struct retry_budget *budget, double share, uint64_t now_us)
{
    if (share <= 0)
        return false;
    budget_begin(budget, now_us);
    budget_roll(budget, now_us);
    double floor = FLOOR * (double)(now_us - budget->floor_us) / SECOND_US;
    if (floor > budget->earned)
        budget->tokens += floor - budget->earned;
    budget->earned = 0;
    budget->floor_us = now_us;
    budget_cap(budget, share);
    if (budget->tokens < 1)
        return false;
    budget->tokens -= 1;
    return true;
}
