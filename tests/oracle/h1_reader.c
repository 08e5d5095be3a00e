#include "oracle/h1_reader.h"

#include <string.h>

#include "oracle/link.h"

#define HEAD_MOST (64u << 10)

/* ---- lines ---- */

static bool is_token(struct span span)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < span.length; i++) {
        char c = span.at[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || strchr(others, c) == NULL))
            return false;
    }
    return span.length != 0;
}

static bool is_value(struct span span)
{
    for (size_t i = 0; i < span.length; i++) {
        unsigned char c = (unsigned char)span.at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* Cuts what stands before the blank off the line. */
static struct span cut_word(struct span *line)
{
    const char *blank = memchr(line->at, ' ', line->length);
    size_t length = blank != NULL ? (size_t)(blank - line->at) : line->length;
    struct span word = {line->at, length};
    size_t skip = blank != NULL ? length + 1 : length;
    line->at += skip;
    line->length -= skip;
    return word;
}

static const char *parse_request_line(struct span line, struct message *message)
{
    message->method = cut_word(&line);
    message->path = cut_word(&line);
    if (!is_token(message->method))
        return "the method is no token";
    if (message->path.length == 0 || message->path.at[0] != '/')
        return "the target is not in origin form";
    for (size_t i = 0; i < message->path.length; i++)
        if ((unsigned char)message->path.at[i] <= 0x20 || (unsigned char)message->path.at[i] >= 0x7f)
            return "the target has a character that must not stand there";
    return span_is(line, "HTTP/1.1") ? NULL : "a request line does not end in HTTP/1.1";
}

static const char *parse_status_line(struct span line, struct message *message)
{
    uint64_t status;
    if (!span_is(cut_word(&line), "HTTP/1.1"))
        return "a status line does not begin with HTTP/1.1";
    struct span digits = cut_word(&line);
    if (digits.length != 3 || !span_number(digits, &status) || status < 100 || status > 599)
        return "a status is not of three digits";
    message->status = (unsigned)status;
    return is_value(line) ? NULL : "a reason has a control character";
}

static const char *parse_field(struct span line, struct message *message)
{
    const char *colon = memchr(line.at, ':', line.length);
    if (colon == NULL)
        return "a field has no colon";
    struct span name = {line.at, (size_t)(colon - line.at)};
    struct span value = {colon + 1, line.length - name.length - 1};
    while (value.length != 0 && (value.at[0] == ' ' || value.at[0] == '\t')) {
        value.at++;
        value.length--;
    }
    while (value.length != 0 && (value.at[value.length - 1] == ' ' || value.at[value.length - 1] == '\t'))
        value.length--;
    if (!is_token(name))
        return "a field's name is no token";
    if (!is_value(value))
        return "a field's value has a control character";
    if (message->count == MESSAGE_FIELDS_MOST)
        return "more fields than anybody sent";
    message->fields[message->count++] = (struct field){name, value};
    return NULL;
}

/* The line without its CRLF. *rest: what comes behind. NULL: fine. */
static const char *next_line(struct span *rest, struct span *line)
{
    const char *feed = memchr(rest->at, '\n', rest->length);
    if (feed == NULL || feed == rest->at || feed[-1] != '\r')
        return "a line does not end in CRLF";
    *line = (struct span){rest->at, (size_t)(feed - rest->at) - 1};
    rest->length -= line->length + 2;
    rest->at = feed + 1;
    return NULL;
}

static const char *parse_fields(struct span rest, struct message *message)
{
    const char *wrong = NULL;
    struct span line;
    while (wrong == NULL && rest.length != 0) {
        wrong = next_line(&rest, &line);
        if (wrong == NULL)
            wrong = parse_field(line, message);
    }
    return wrong;
}

/* ---- messages ---- */

static void say_wrong(struct h1_reader *reader, const char *what)
{
    reader->events->wrong(reader->owner, what);
}

static void end_message(struct h1_reader *reader, const struct message *trailers)
{
    static const struct message none;
    reader->state = H1_OVER;
    reader->events->end(reader->owner, trailers != NULL ? trailers : &none);
}

static void begin_body(struct h1_reader *reader, struct message *message)
{
    if (message->chunked)
        reader->state = H1_SIZE;
    else if (message->length != LENGTH_UNKNOWN)
        reader->state = H1_LENGTH;
    else
        reader->state = message->status != 0 ? H1_UNTIL_CLOSE : H1_LENGTH;
    reader->left = message->length != LENGTH_UNKNOWN ? message->length : 0;
    if (reader->state == H1_LENGTH && reader->left == 0)
        end_message(reader, NULL);
}

static void take_head(struct h1_reader *reader, struct span head)
{
    struct message message = {.minor = 1};
    struct span line;
    const char *wrong = next_line(&head, &line);
    if (wrong == NULL)
        wrong = reader->requests ? parse_request_line(line, &message) : parse_status_line(line, &message);
    if (wrong == NULL)
        wrong = parse_fields(head, &message);
    if (wrong == NULL)
        wrong = message_framing(&message);
    if (wrong != NULL) {
        say_wrong(reader, wrong);
        return;
    }
    /* Before it is told: what the owner does may look at it. */
    reader->state = H1_OVER;
    enum h1_body body = reader->events->head(reader->owner, &message);
    if (reader->link->dead)
        return;
    switch (body) {
    case H1_AS_SAID:
        begin_body(reader, &message);
        break;
    case H1_NO_BODY:
        end_message(reader, NULL);
        break;
    case H1_ANOTHER_HEAD:
        reader->state = H1_HEAD;
        break;
    case H1_TUNNEL:
        reader->state = H1_RAW;
        break;
    }
}

/* A head is taken once its empty line is here. False: more is needed. */
static bool read_head(struct h1_reader *reader, struct link *link)
{
    struct span in = {bytes_front(&link->in), bytes_length(&link->in)};
    const char *end = memmem(in.at, in.length, "\r\n\r\n", 4);
    if (end == NULL) {
        if (in.length > HEAD_MOST || memmem(in.at, in.length, "\n\n", 2) != NULL)
            say_wrong(reader, "a head has no end");
        return false;
    }
    size_t length = (size_t)(end - in.at) + 4;
    take_head(reader, (struct span){in.at, length - 2});
    if (!link->dead)
        bytes_take(&link->in, length);
    return true;
}

/* ---- bodies ---- */

static bool read_length(struct h1_reader *reader, struct link *link)
{
    size_t part = bytes_length(&link->in);
    if (part > reader->left)
        part = (size_t)reader->left;
    reader->left -= part;
    reader->events->body(reader->owner, bytes_front(&link->in), part);
    if (link->dead)
        return false;
    bytes_take(&link->in, part);
    if (reader->left == 0 && reader->state == H1_LENGTH)
        end_message(reader, NULL);
    else if (reader->left == 0)
        reader->state = H1_CHUNK_END;
    return true;
}

static int hexadecimal(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* weir makes chunks anew: no extension, no leading zero. */
static bool read_size(struct h1_reader *reader, struct link *link)
{
    const char *at = bytes_front(&link->in);
    size_t length = bytes_length(&link->in), i = 0;
    uint64_t size = 0;
    for (; i < length && hexadecimal(at[i]) >= 0; i++)
        size = size * 16 + (unsigned)hexadecimal(at[i]);
    if (i > 8 || (i < length && (i == 0 || at[i] != '\r')) || (i + 1 < length && at[i + 1] != '\n')) {
        say_wrong(reader, "a chunk's size line is wrong");
        return false;
    }
    if (i + 1 >= length)
        return false;
    bytes_take(&link->in, i + 2);
    reader->left = size;
    reader->state = size != 0 ? H1_CHUNK : H1_TRAILERS;
    return true;
}

static bool read_chunk_end(struct h1_reader *reader, struct link *link)
{
    if (bytes_length(&link->in) < 2)
        return false;
    if (memcmp(bytes_front(&link->in), "\r\n", 2) != 0) {
        say_wrong(reader, "a chunk does not end in CRLF");
        return false;
    }
    bytes_take(&link->in, 2);
    reader->state = H1_SIZE;
    return true;
}

static bool read_trailers(struct h1_reader *reader, struct link *link)
{
    struct span in = {bytes_front(&link->in), bytes_length(&link->in)};
    struct message trailers = {0};
    if (in.length < 2)
        return false;
    if (memcmp(in.at, "\r\n", 2) == 0) {
        bytes_take(&link->in, 2);
        end_message(reader, NULL);
        return true;
    }
    const char *end = memmem(in.at, in.length, "\r\n\r\n", 4);
    if (end == NULL && in.length <= HEAD_MOST)
        return false;
    size_t length = end != NULL ? (size_t)(end - in.at) + 4 : 0;
    const char *wrong =
        end == NULL ? "trailers have no end" : parse_fields((struct span){in.at, length - 2}, &trailers);
    if (wrong != NULL) {
        say_wrong(reader, wrong);
        return false;
    }
    end_message(reader, &trailers);
    if (!link->dead)
        bytes_take(&link->in, length);
    return true;
}

static bool read_rest(struct h1_reader *reader, struct link *link)
{
    size_t length = bytes_length(&link->in);
    reader->events->body(reader->owner, bytes_front(&link->in), length);
    if (!link->dead)
        bytes_take(&link->in, length);
    return true;
}

void h1_read(struct h1_reader *reader)
{
    struct link *link = reader->link;
    static bool (*const steps[])(struct h1_reader *, struct link *) = {
        [H1_HEAD] = read_head,           [H1_LENGTH] = read_length,
        [H1_SIZE] = read_size,           [H1_CHUNK] = read_length,
        [H1_CHUNK_END] = read_chunk_end, [H1_TRAILERS] = read_trailers,
        [H1_UNTIL_CLOSE] = read_rest,    [H1_RAW] = read_rest,
    };
    while (!link->dead && reader->state != H1_OVER && bytes_length(&link->in) != 0 &&
           steps[reader->state](reader, link))
        ;
}

void h1_read_end(struct h1_reader *reader)
{
    if (reader->state == H1_UNTIL_CLOSE)
        end_message(reader, NULL);
}
