#include "oracle/message.h"

#include <string.h>
#include <strings.h>

bool span_is(struct span span, const char *text)
{
    return span.at != NULL && span.length == strlen(text) && memcmp(span.at, text, span.length) == 0;
}

bool span_is_nocase(struct span span, const char *text)
{
    return span.at != NULL && span.length == strlen(text) && strncasecmp(span.at, text, span.length) == 0;
}

bool span_number(struct span span, uint64_t *number)
{
    *number = 0;
    if (span.length == 0 || span.length > 18)
        return false;
    for (size_t i = 0; i < span.length; i++) {
        if (span.at[i] < '0' || span.at[i] > '9')
            return false;
        *number = *number * 10 + (unsigned)(span.at[i] - '0');
    }
    return true;
}

struct span message_field(const struct message *message, const char *name, unsigned *count)
{
    struct span value = {0};
    *count = 0;
    for (unsigned i = 0; i < message->count; i++) {
        if (span_is_nocase(message->fields[i].name, name)) {
            value = message->fields[i].value;
            ++*count;
        }
    }
    return *count == 1 ? value : (struct span){0};
}

static bool lists(struct span value, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= value.length; i++) {
        bool begins = i == 0 || value.at[i - 1] == ',' || value.at[i - 1] == ' ';
        bool ends = i + length == value.length || value.at[i + length] == ',' || value.at[i + length] == ' ';
        if (begins && ends && strncasecmp(value.at + i, word, length) == 0)
            return true;
    }
    return false;
}

bool message_says(const struct message *message, const char *name, const char *word)
{
    for (unsigned i = 0; i < message->count; i++)
        if (span_is_nocase(message->fields[i].name, name) && lists(message->fields[i].value, word))
            return true;
    return false;
}

const char *message_framing(struct message *message)
{
    unsigned lengths, codings;
    struct span length = message_field(message, "content-length", &lengths);
    struct span coding = message_field(message, "transfer-encoding", &codings);
    message->length = LENGTH_UNKNOWN;
    message->chunked = codings != 0;
    if (lengths > 1)
        return "Content-Length twice";
    if (lengths == 1 && !span_number(length, &message->length))
        return "Content-Length is no number";
    if (codings > 1 || (codings == 1 && !span_is_nocase(coding, "chunked")))
        return "Transfer-Encoding is not chunked, once";
    if (codings == 1 && lengths == 1)
        return "Content-Length beside Transfer-Encoding";
    if (codings == 1 && message->http2)
        return "Transfer-Encoding over HTTP/2";
    return NULL;
}
