/* The client connections: as many at once as there are slots; where one ends, another begins. */
#ifndef ORACLE_CLIENTS_H
#define ORACLE_CLIENTS_H

void clients_begin(void);
/* At each tick: slots that could not begin anything look again. */
void clients_wake(void);

#endif
