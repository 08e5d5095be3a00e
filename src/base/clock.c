/* Reads the clocks and prints dates. Conversion is by hand: gmtime_r() takes a lock of the C library. */
#include "base/clock.h"

#include <string.h>
#include <time.h>

struct clock_date {
    unsigned year, month, day, hour, minute, second, weekday; /* month from 1, weekday from Sunday = 0 */
};

static uint64_t clock_read(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* Days since 1970 to a Gregorian date, by years that begin in March, so that the leap day is a year's last.
 */
static struct clock_date clock_split(uint64_t seconds)
{
    uint64_t days = seconds / 86400u;
    unsigned rest = (unsigned)(seconds % 86400u);
    uint64_t shifted = days + 719468u; /* since 0000-03-01 */
    uint64_t era = shifted / 146097u;
    unsigned day_of_era = (unsigned)(shifted % 146097u);
    unsigned year_of_era =
        (day_of_era - day_of_era / 1460u + day_of_era / 36524u - day_of_era / 146096u) / 365u;
    unsigned day_of_year = day_of_era - (365u * year_of_era + year_of_era / 4u - year_of_era / 100u);
    unsigned month_from_march = (5u * day_of_year + 2u) / 153u;
    struct clock_date date;
    date.day = day_of_year - (153u * month_from_march + 2u) / 5u + 1u;
    date.month = month_from_march < 10u ? month_from_march + 3u : month_from_march - 9u;
    date.year = (unsigned)(era * 400u) + year_of_era + (date.month <= 2u ? 1u : 0u);
    date.hour = rest / 3600u;
    date.minute = rest / 60u % 60u;
    date.second = rest % 60u;
    date.weekday = (unsigned)((days + 4u) % 7u);
    return date;
}

static char *clock_put(char *to, unsigned value, unsigned digits)
{
    for (unsigned i = digits; i > 0; i--) {
        to[i - 1] = (char)('0' + value % 10u);
        value /= 10u;
    }
    return to + digits;
}

static char *clock_put_name(char *to, const char name[3])
{
    to[0] = name[0];
    to[1] = name[1];
    to[2] = name[2];
    return to + 3;
}

static char *clock_put_time(char *to, const struct clock_date *date)
{
    to = clock_put(to, date->hour, 2);
    *to++ = ':';
    to = clock_put(to, date->minute, 2);
    *to++ = ':';
    return clock_put(to, date->second, 2);
}

uint64_t clock_monotonic_us(void)
{
    return clock_read(CLOCK_MONOTONIC);
}

uint64_t clock_wall_us(void)
{
    return clock_read(CLOCK_REALTIME);
}

void clock_print(char text[25], uint64_t wall_us)
{
    struct clock_date date = clock_split(wall_us / 1000000u);
    char *to = clock_put(text, date.year, 4);
    *to++ = '-';
    to = clock_put(to, date.month, 2);
    *to++ = '-';
    to = clock_put(to, date.day, 2);
    *to++ = 'T';
    to = clock_put_time(to, &date);
    *to++ = '.';
    to = clock_put(to, (unsigned)(wall_us / 1000u % 1000u), 3);
    *to++ = 'Z';
    *to = '\0';
}

void clock_print_http(char text[30], uint64_t wall_us)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct clock_date date = clock_split(wall_us / 1000000u);
    char *to = clock_put_name(text, days[date.weekday]);
    *to++ = ',';
    *to++ = ' ';
    to = clock_put(to, date.day, 2);
    *to++ = ' ';
    to = clock_put_name(to, months[date.month - 1]);
    *to++ = ' ';
    to = clock_put(to, date.year, 4);
    *to++ = ' ';
    to = clock_put_time(to, &date);
    memcpy(to, " GMT", 5);
}

struct span clock_http_now(uint64_t monotonic_us)
{
    static _Thread_local char text[30];
    static _Thread_local uint64_t good_until_us;
    if (monotonic_us >= good_until_us) {
        uint64_t now_us = clock_wall_us();
        clock_print_http(text, now_us);
        good_until_us = monotonic_us + 1000000u - now_us % 1000000u;
    }
    return span_make(text, sizeof text - 1);
}
