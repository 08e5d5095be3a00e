#include "oracle/trace.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

uint64_t trace_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static struct trace_record *next_record(struct trace *trace, enum trace_kind kind)
{
    struct trace_record *record = &trace->records[trace->next++ % TRACE_RECORDS];
    record->kind = kind;
    record->ms = trace_now();
    return record;
}

/* Small pieces that go the same way share a record. */
static bool append(struct trace *trace, enum trace_kind kind, const char *bytes, size_t length)
{
    struct trace_record *last = &trace->records[(trace->next - 1) % TRACE_RECORDS];
    if (trace->next == 0 || last->kind != kind || last->length + length > TRACE_KEPT)
        return false;
    memcpy(last->bytes + last->length, bytes, length);
    last->length += length;
    return true;
}

void trace_bytes(struct trace *trace, enum trace_kind kind, const char *bytes, size_t length)
{
    if (append(trace, kind, bytes, length))
        return;
    struct trace_record *record = next_record(trace, kind);
    record->length = length;
    memcpy(record->bytes, bytes, length < TRACE_KEPT ? length : TRACE_KEPT);
}

void trace_note(struct trace *trace, const char *format, ...)
{
    struct trace_record *record = next_record(trace, TRACE_NOTE);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(record->bytes, TRACE_KEPT, format, arguments);
    va_end(arguments);
    record->length = (size_t)length < TRACE_KEPT - 1 ? (size_t)length : TRACE_KEPT - 1;
}

static void print_escaped(const struct trace_record *record, FILE *to)
{
    size_t kept = record->length < TRACE_KEPT ? record->length : TRACE_KEPT;
    for (size_t i = 0; i < kept; i++) {
        unsigned char c = (unsigned char)record->bytes[i];
        if (c == '\r')
            fputs("\\r", to);
        else if (c == '\n')
            fputs("\\n", to);
        else if (c < 0x20 || c >= 0x7f || c == '\\')
            fprintf(to, "\\x%02x", c);
        else
            fputc(c, to);
    }
    if (kept < record->length)
        fprintf(to, "... (%zu bytes)", record->length);
}

void trace_print(const struct trace *trace, FILE *to)
{
    static const char *const words[] = {[TRACE_RECEIVED] = "<", [TRACE_SENT] = ">", [TRACE_NOTE] = "-"};
    unsigned first = trace->next > TRACE_RECORDS ? trace->next - TRACE_RECORDS : 0;
    uint64_t now = trace_now();
    for (unsigned i = first; i < trace->next; i++) {
        const struct trace_record *record = &trace->records[i % TRACE_RECORDS];
        fprintf(to, "    %7.3f %s ", -(double)(now - record->ms) / 1000, words[record->kind]);
        print_escaped(record, to);
        fputc('\n', to);
    }
}
