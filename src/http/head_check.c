/* What framing and routing fields say, and whether they may say it. Ambiguity is refused, never repaired. */
#include "http/head_check.h"

#include <string.h>

#include "config/config.h"
#include "http/target.h"

/* Digits only, at most 2^63-1 (RFC 9110 8.6). */
static bool length_of(struct span digits, int64_t *value)
{
    int64_t number = 0;
    if (digits.length == 0)
        return false;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        int digit = digits.at[i] - '0';
        if (number > (INT64_MAX - digit) / 10)
            return false;
        number = number * 10 + digit;
    }
    *value = number;
    return true;
}

/* Equal repetitions, in lines or in a list, are one (RFC 9110 8.6); different or empty ones are refused. */
static NOINLINE void note_length(struct head_check *check, struct span list)
{
    struct span element;
    while (span_next_element(&list, &element)) {
        int64_t value;
        if (!length_of(element, &value) || (check->has_length && value != check->content_length)) {
            check->bad_length = true;
            return;
        }
        while (element.length > 1 && element.at[0] == '0')
            element = span_skip(element, 1);
        check->has_length = true;
        check->content_length = value;
        check->length_text = element;
    }
}

static bool is_token(struct span text)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < text.length; i++) {
        char c = ascii_lower(text.at[i]);
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c == '\0' || memchr(others, c, sizeof others - 1) == NULL))
            return false;
    }
    return text.length != 0;
}

/* Exactly `chunked`, once, without parameters and as the last; everything else is told apart as unknown (501)
 * or malformed (400). */
static NOINLINE void note_coding(struct head_check *check, struct span list)
{
    struct span element;
    check->has_coding = true;
    while (span_next_element(&list, &element)) {
        size_t end = span_find(element, ';');
        struct span name = span_trim(span_first(element, end));
        bool chunked = span_equal_nocase(name, SPAN("chunked"));
        if (!is_token(name) || check->chunked || (chunked && end != element.length))
            check->bad_coding = true;
        else if (chunked)
            check->chunked = true;
        else
            check->other_coding = true;
    }
}

static NOINLINE void note_connection(struct head_check *check, struct span list)
{
    struct span element;
    while (span_next_element(&list, &element)) {
        if (span_equal_nocase(element, SPAN("close")))
            check->says_close = true;
        else if (span_equal_nocase(element, SPAN("keep-alive")))
            check->says_keep_alive = true;
        else if (span_equal_nocase(element, SPAN("upgrade")))
            check->says_upgrade = true;
    }
}

static NOINLINE bool lists_trailers(struct span list)
{
    struct span element;
    while (span_next_element(&list, &element))
        if (span_equal_nocase(element, SPAN("trailers")))
            return true;
    return false;
}

/* Nobody here knows any other expectation (RFC 9110 10.1.1). Lines and a list mean the same, so one line
 * stands for all; false: it is not to be kept. */
static NOINLINE bool note_expectations(struct head_check *check, struct field *field, struct head *head)
{
    struct span list = field->value, element;
    bool known = head->expect_continue;
    while (span_next_element(&list, &element)) {
        if (span_equal_nocase(element, SPAN("100-continue")))
            head->expect_continue = true;
        else if (element.length != 0)
            check->other_expectation = true;
    }
    if (!span_equal_nocase(field->value, SPAN("100-continue")))
        field->value = SPAN("100-continue");
    return head->expect_continue && !known;
}

/* What a request has one of: who reads the first of two and who reads the last would be told two things (RFC
 * 9110 5.3). Host has a name of its own among the failures; lists and cookies may come in several lines. */
static bool note_once(struct head_check *check, uint16_t id)
{
    _Static_assert(FIELD_ID_COUNT <= 64, "a bit for each");
    check->repeated = check->repeated || (check->seen & UINT64_C(1) << id) != 0;
    check->seen |= UINT64_C(1) << id;
    return true;
}

bool head_check_note(struct head_check *check, struct field *field, struct head *head)
{
    switch (field->id) {
    case FIELD_CONTENT_LENGTH:
        note_length(check, field->value);
        return false;
    case FIELD_TRANSFER_ENCODING:
        note_coding(check, field->value);
        return false;
    case FIELD_HOST:
        check->host_count++;
        check->host = field->value;
        return false;
    case FIELD_CONNECTION:
        note_connection(check, field->value);
        return true; /* the border still reads what it names */
    case FIELD_UPGRADE:
        check->upgrade = field->value;
        return true;
    case FIELD_TE:
        head->accepts_trailers = head->accepts_trailers || lists_trailers(field->value);
        return true;
    case FIELD_TRAILER:
        head->announces_trailers = true;
        return true;
    case FIELD_DATE:
        head->has_date = true;
        return true;
    case FIELD_AUTHORIZATION:
        head->has_credentials = true;
        return note_once(check, field->id);
    case FIELD_CONTENT_TYPE:
    case FIELD_CONTENT_RANGE:
    case FIELD_RANGE:
    case FIELD_ORIGIN:
    case FIELD_SEC_WEBSOCKET_KEY:
    case FIELD_SEC_WEBSOCKET_VERSION:
    case FIELD_GRPC_TIMEOUT:
        return note_once(check, field->id);
    case FIELD_EXPECT:
        return note_expectations(check, field, head);
    default:
        return true;
    }
}

bool name_is_dropped(struct span name, const struct limits_config *limits)
{
    char plain[32];
    if (!limits->underscore_names)
        return true;
    for (size_t i = 0; i < name.length && i < sizeof plain; i++) {
        char lower = ascii_lower(name.at[i]);
        bool kept = (lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9');
        plain[i] = kept ? lower : '-';
    }
    return name.length <= sizeof plain && field_id(span_make(plain, name.length)) != FIELD_OTHER;
}

enum failure head_check_method(const struct head *head, const struct limits_config *limits)
{
    bool other = head->line.request.method == METHOD_OTHER && !limits->lower_case_methods;
    return other && method_is_misspelt(head->line.request.method_name) ? FAILURE_BAD_METHOD : FAILURE_NONE;
}

static enum failure check_host(const struct head_check *check, struct head *head)
{
    if (check->host_count > 1 || (check->host_count == 0 && head->minor_version != 0))
        return FAILURE_BAD_HOST;
    struct authority host = {.is_normal = false};
    if (check->host_count == 1 && check->host.length != 0 && !authority_read(check->host, &host))
        return FAILURE_BAD_HOST;
    if (head->line.request.authority.length != 0) /* an absolute form replaces Host (RFC 9112 3.2.2) */
        return FAILURE_NONE;
    head->line.request.authority = check->host;
    if (host.is_normal) {
        head->line.request.host_length = (uint32_t)host.host.length;
        head->line.request.port = host.port;
    }
    return FAILURE_NONE;
}

/* A CONNECT has no content (RFC 9110 9.3.6), a tunnel of HTTP/2 no length either: one that announces some
 * would have it taken for the next request by whoever reads it so. */
static bool is_connect_with_length(const struct head_check *check, const struct head *head)
{
    return head->line.request.method == METHOD_CONNECT && (check->has_length || check->has_coding);
}

static enum failure check_framing(const struct head_check *check, struct head *head)
{
    if (check->bad_length || check->bad_coding ||
        (check->has_coding && (check->has_length || head->minor_version == 0)))
        return FAILURE_BAD_FRAMING;
    if (check->other_coding)
        return FAILURE_CODING_UNKNOWN;
    if (check->has_coding && !check->chunked)
        return FAILURE_BAD_FRAMING;
    head->body_length = check->has_coding   ? BODY_OF_UNKNOWN_LENGTH
                        : check->has_length ? check->content_length
                                            : BODY_NONE;
    head->length_given = check->has_length;
    head->length_text = check->length_text;
    return FAILURE_NONE;
}

enum failure head_check_request(struct head_check *check, struct head *head)
{
    enum failure why = check_host(check, head);
    if (why == FAILURE_NONE && check->repeated)
        why = FAILURE_FIELD_REPEATED;
    if (why == FAILURE_NONE)
        why = is_connect_with_length(check, head) ? FAILURE_BAD_FRAMING : check_framing(check, head);
    if (head->minor_version == 0)
        head->expect_continue = false; /* RFC 9110 10.1.1 */
    else if (why == FAILURE_NONE && check->other_expectation)
        why = FAILURE_EXPECTATION_UNKNOWN;
    if (check->says_upgrade && head->minor_version != 0)
        head->upgrade = check->upgrade;
    return why;
}

enum failure head_check_response(struct head_check *check, struct head *head)
{
    if (check_framing(check, head) != FAILURE_NONE)
        return FAILURE_RESPONSE_INVALID;
    if (!check->has_coding && !check->has_length)
        head->body_length = BODY_OF_UNKNOWN_LENGTH; /* until the server closes (RFC 9112 6.3) */
    if (check->says_upgrade)
        head->upgrade = check->upgrade;
    return FAILURE_NONE;
}
