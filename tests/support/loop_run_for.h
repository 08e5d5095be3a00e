/* Lets a loop run for a time, for tests that have one thread. */
#ifndef WEIR_TESTS_LOOP_RUN_FOR_H
#define WEIR_TESTS_LOOP_RUN_FOR_H

struct loop;

void loop_run_for(struct loop *loop, unsigned milliseconds);

#endif
