/* Lets a loop run for a time, for tests that have one thread. */
#ifndef WEIR_TESTS_LOOP_RUN_FOR_H
#define WEIR_TESTS_LOOP_RUN_FOR_H

struct loop;

void loop_run_for(struct loop *loop, unsigned milliseconds);
/* One turn, of what is due or ready now, and a millisecond's sleep. What is looked at after each turn is seen
 * as it happens, however slow the machine. */
void loop_turn(struct loop *loop);
/* Turns until it is so; gives up after half a minute and more. */
#define RUN_UNTIL(loop, condition)                                       \
    do {                                                                 \
        for (unsigned turns = 0; turns < 30000 && !(condition); turns++) \
            loop_turn(loop);                                             \
    } while (0)

#endif
