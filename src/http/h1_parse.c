/* The strict HTTP/1 parser (RFC 9112 2 to 5, RFC 9110 5). */
#include "http/h1_parse.h"

#include <string.h>

#include "base/arena.h"
#include "config/config.h"
#include "http/head.h"
#include "http/target.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* What a byte may be in: a token (tchar, RFC 9110 5.6.2), and in a name that is plain
 * (field_name_is_plain()). */
enum { IN_TOKEN = 1, IN_PLAIN = 2 };
static const uint8_t byte_marks[256] = {
#define T IN_TOKEN
#define P IN_TOKEN | IN_PLAIN
    ['!'] = T, ['#'] = T, ['$'] = T, ['%'] = T, ['&'] = T, ['\''] = T, ['*'] = T, ['+'] = T, ['.'] = T,
    ['^'] = T, ['_'] = T, ['`'] = T, ['|'] = T, ['~'] = T, ['-'] = P,  ['0'] = P, ['1'] = P, ['2'] = P,
    ['3'] = P, ['4'] = P, ['5'] = P, ['6'] = P, ['7'] = P, ['8'] = P,  ['9'] = P, ['A'] = P, ['B'] = P,
    ['C'] = P, ['D'] = P, ['E'] = P, ['F'] = P, ['G'] = P, ['H'] = P,  ['I'] = P, ['J'] = P, ['K'] = P,
    ['L'] = P, ['M'] = P, ['N'] = P, ['O'] = P, ['P'] = P, ['Q'] = P,  ['R'] = P, ['S'] = P, ['T'] = P,
    ['U'] = P, ['V'] = P, ['W'] = P, ['X'] = P, ['Y'] = P, ['Z'] = P,  ['a'] = P, ['b'] = P, ['c'] = P,
    ['d'] = P, ['e'] = P, ['f'] = P, ['g'] = P, ['h'] = P, ['i'] = P,  ['j'] = P, ['k'] = P, ['l'] = P,
    ['m'] = P, ['n'] = P, ['o'] = P, ['p'] = P, ['q'] = P, ['r'] = P,  ['s'] = P, ['t'] = P, ['u'] = P,
    ['v'] = P, ['w'] = P, ['x'] = P, ['y'] = P, ['z'] = P,
#undef T
#undef P
};

bool h1_is_token_byte(unsigned char c)
{
    return byte_marks[c] != 0;
}

static inline bool is_control(unsigned char c)
{
    return c < 0x20 || c == 0x7f;
}

#if defined(__SSE2__)
static inline __m128i control_bytes(const unsigned char *at)
{
    const __m128i low = _mm_set1_epi8(0x1f), del = _mm_set1_epi8(0x7f);
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)at);
    return _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(v, low), v), _mm_cmpeq_epi8(v, del));
}
#endif

static inline size_t find_control(struct span bytes, size_t at)
{
    const unsigned char *p = (const unsigned char *)bytes.at;
    size_t i = at;
#if defined(__SSE2__)
    while (i + 32 <= bytes.length) {
        __m128i first = control_bytes(p + i), second = control_bytes(p + i + 16);
        if (_mm_movemask_epi8(_mm_or_si128(first, second)) != 0) {
            unsigned mask = (unsigned)_mm_movemask_epi8(first) | (unsigned)_mm_movemask_epi8(second) << 16;
            return i + (unsigned)__builtin_ctz(mask);
        }
        i += 32;
    }
    if (i + 16 <= bytes.length) {
        unsigned mask = (unsigned)_mm_movemask_epi8(control_bytes(p + i));
        if (mask != 0)
            return i + (unsigned)__builtin_ctz(mask);
        i += 16;
    }
#elif defined(__ARM_NEON)
    const uint8x16_t low = vdupq_n_u8(0x20), del = vdupq_n_u8(0x7f);
    for (; i + 16 <= bytes.length; i += 16) {
        uint8x16_t v = vld1q_u8(p + i);
        uint8x16_t hit = vorrq_u8(vcltq_u8(v, low), vceqq_u8(v, del));
        uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(hit), 4)), 0);
        if (mask != 0)
            return i + (unsigned)__builtin_ctzll(mask) / 4;
    }
#endif
    while (i < bytes.length && !is_control(p[i]))
        i++;
    return i;
}

size_t h1_find_control(struct span bytes, size_t at)
{
    return find_control(bytes, at);
}

enum h1_step h1_scan(struct h1_scan *scan, struct span bytes, size_t *length)
{
    size_t i = scan->at;
    for (;;) {
        i = find_control(bytes, i);
        if (i == bytes.length)
            break;
        if (bytes.at[i] == '\t') {
            i++;
            continue;
        }
        if (bytes.at[i] != '\r')
            return H1_FAILED;
        if (i + 1 == bytes.length)
            break;
        if (bytes.at[i + 1] != '\n')
            return H1_FAILED;
        bool empty = i == scan->line;
        if (empty && (scan->first_line != 0 || scan->in_trailers)) {
            *length = i + 2;
            return H1_DONE;
        }
        if (empty)
            return H1_FAILED; /* an empty start line; the codec has skipped the one that is allowed */
        if (scan->first_line == 0)
            scan->first_line = (uint32_t)i;
        i += 2;
        scan->line = (uint32_t)i;
    }
    scan->at = (uint32_t)i;
    return H1_MORE;
}

/* ---- fields ---- */

/* The token that a line begins with; *marks: what all of its bytes are. A line ends with CR, which is in
 * none. */
static inline size_t token_length(struct span line, unsigned *marks)
{
    const unsigned char *at = (const unsigned char *)line.at;
    unsigned all = IN_TOKEN | IN_PLAIN, mark;
    while ((mark = byte_marks[*at]) != 0) {
        all &= mark;
        at++;
    }
    *marks = all;
    return (size_t)((const char *)at - line.at);
}

/* The length of a plain name of less than 16 bytes before a colon, which nearly all are; 0: no such name. */
static inline size_t short_name(struct span line)
{
#if defined(__SSE2__)
    if (line.length < 16)
        return 0;
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)line.at);
    __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
    __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
    __m128i plain = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                                 _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
    plain = _mm_or_si128(plain, _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
    unsigned others = ~(unsigned)_mm_movemask_epi8(plain); /* never 0: of the upper bits */
    size_t length = (unsigned)__builtin_ctz(others);
    return length < 16 && line.at[length] == ':' ? length : 0;
#else
    (void)line;
    return 0;
#endif
}

/* Cuts a line off; lines are ended by CRLF, as the scan has seen. */
static inline struct span cut_line(struct span *rest)
{
    size_t end = span_find(*rest, '\r');
    struct span line = span_first(*rest, end);
    *rest = span_skip(*rest, end + 2);
    return line;
}

/* Where the colon behind a name stands: at once, or, in what servers send, behind blanks, which are removed
 * (RFC 9112 5.1). Clients that send them mean to be read in two ways. 0: there is none. */
static size_t colon_after(struct span line, size_t name, bool request)
{
    size_t at = name;
    while (!request && at < line.length && (line.at[at] == ' ' || line.at[at] == '\t'))
        at++;
    return at < line.length && line.at[at] == ':' ? at : 0;
}

/* A name with ':' after it, then a value: no folding (RFC 9112 5). */
static inline bool parse_field(struct span line, bool request, struct field *field, bool *plain)
{
    unsigned marks = IN_TOKEN | IN_PLAIN;
    size_t name = short_name(line), colon = name;
    if (name == 0) {
        name = token_length(line, &marks);
        colon = name != 0 ? colon_after(line, name, request) : 0;
    }
    if (colon == 0)
        return false;
    field->name = span_first(line, name);
    field->value = span_trim(span_skip(line, colon + 1));
    field->id = field_id(field->name);
    *plain = (marks & IN_PLAIN) != 0;
    return true;
}

struct section {
    const struct limits_config *limits;
    struct arena *arena;
    struct head *head;
    struct head_check *check;
    bool request;
};

/* All lines up to the empty one. */
static enum failure parse_fields(struct section *section, struct span rest)
{
    /* A server's fields are its own affair up to ten times what a client may send. */
    uint64_t left = section->limits->fields * (section->request ? 1u : 10u);
    enum failure bad = section->request ? FAILURE_BAD_REQUEST : FAILURE_RESPONSE_INVALID;
    enum failure large = section->request ? FAILURE_FIELDS_TOO_LARGE : FAILURE_RESPONSE_TOO_LARGE;
    for (;;) {
        struct span line = cut_line(&rest);
        struct field field;
        bool plain;
        if (line.length == 0)
            return FAILURE_NONE;
        if (!parse_field(line, section->request, &field, &plain))
            return bad;
        if (left-- == 0)
            return large;
        bool dropped = !plain && section->request && field.id == FIELD_OTHER &&
                       name_is_dropped(field.name, section->limits);
        if (dropped || (field.id != FIELD_OTHER && !head_check_note(section->check, &field, section->head)))
            continue;
        if (!fields_add(&section->head->fields, section->arena, field.name, field.value, field.id))
            return large;
    }
}

/* ---- requests ---- */

/* "HTTP/1.x" of exactly eight bytes, as the last word (RFC 9112 2.3). */
static enum failure parse_version(struct span text, uint8_t *minor)
{
    if (text.length != 8 || memcmp(text.at, "HTTP/", 5) != 0 || text.at[6] != '.')
        return FAILURE_BAD_REQUEST;
    char major = text.at[5], digit = text.at[7];
    if (major < '0' || major > '9' || digit < '0' || digit > '9')
        return FAILURE_BAD_REQUEST;
    if (major != '1') /* "0.9" is malformed: that version had no such word */
        return major == '0' ? FAILURE_BAD_REQUEST : FAILURE_VERSION_UNKNOWN;
    *minor = digit == '0' ? 0 : 1;
    return FAILURE_NONE;
}

static bool target_bytes_are_fine(struct span target)
{
    for (size_t i = 0; i < target.length; i++) {
        unsigned char c = (unsigned char)target.at[i];
        if (c <= 0x20 || c >= 0x7f || c == '#')
            return false;
    }
    return target.length != 0;
}

static void split_query(struct head *head, struct span path)
{
    size_t mark = span_find(path, '?');
    head->line.request.path = span_first(path, mark);
    head->line.request.query = mark != path.length ? span_skip(path, mark + 1) : SPAN_NONE;
}

/* http://authority/path: http or https, no userinfo (RFC 9112 3.2.2). */
static enum failure parse_absolute(struct head *head, struct span target)
{
    bool http = target.length > 7 && span_equal_nocase(span_first(target, 7), SPAN("http://"));
    bool https = target.length > 8 && span_equal_nocase(span_first(target, 8), SPAN("https://"));
    if (!http && !https)
        return FAILURE_BAD_TARGET;
    struct span rest = span_skip(target, http ? 7 : 8);
    size_t end = 0;
    while (end < rest.length && rest.at[end] != '/' && rest.at[end] != '?')
        end++;
    struct span host;
    uint16_t port;
    bool has_port;
    head->line.request.scheme = http ? SPAN("http") : SPAN("https");
    head->line.request.authority = span_first(rest, end);
    if (!authority_split(head->line.request.authority, &host, &port, &has_port))
        return FAILURE_BAD_TARGET;
    split_query(head, span_skip(rest, end));
    /* RFC 9112 3.2.4 */
    bool whole_server = head->line.request.method == METHOD_OPTIONS && end == rest.length;
    if (head->line.request.path.length == 0)
        head->line.request.path = whole_server ? SPAN("*") : SPAN("/");
    return FAILURE_NONE;
}

static enum failure parse_target(struct head *head, struct span target)
{
    enum method method = head->line.request.method;
    if (!target_bytes_are_fine(target))
        return FAILURE_BAD_TARGET;
    if (method == METHOD_CONNECT) {
        /* refused by the proxy with its own status; the authority form means nothing here */
        head->line.request.path = SPAN("/");
        return FAILURE_NONE;
    }
    if (target.at[0] == '/') {
        split_query(head, target);
        return FAILURE_NONE;
    }
    if (span_is(target, "*")) {
        head->line.request.path = target;
        return method == METHOD_OPTIONS ? FAILURE_NONE : FAILURE_BAD_TARGET;
    }
    return parse_absolute(head, target);
}

static enum failure parse_request_line(struct span line, struct head *head)
{
    unsigned marks;
    size_t end = token_length(line, &marks);
    if (end == 0 || end == line.length || line.at[end] != ' ')
        return FAILURE_BAD_REQUEST;
    head->line.request.method_name = span_first(line, end);
    head->line.request.method = method_of(head->line.request.method_name);
    struct span rest = span_skip(line, end + 1);
    size_t blank = span_find(rest, ' ');
    if (blank == rest.length || blank == 0)
        return FAILURE_BAD_REQUEST;
    enum failure why = parse_version(span_skip(rest, blank + 1), &head->minor_version);
    return why != FAILURE_NONE ? why : parse_target(head, span_first(rest, blank));
}

enum failure h1_check_request_line(struct span line)
{
    struct head head = {.body_length = BODY_NONE};
    return parse_request_line(line, &head);
}

enum failure h1_parse_request(struct span bytes, const struct limits_config *limits, struct arena *arena,
                              struct head *head, struct head_check *check)
{
    *head = (struct head){.body_length = BODY_NONE};
    *check = (struct head_check){.has_length = false};
    struct section section = {limits, arena, head, check, true};
    struct span line = cut_line(&bytes);
    if (line.length > limits->request_line)
        return FAILURE_TARGET_TOO_LONG;
    enum failure why = parse_request_line(line, head);
    if (why == FAILURE_NONE)
        why = head_check_method(head, limits);
    if (why == FAILURE_NONE)
        why = parse_fields(&section, bytes);
    if (why == FAILURE_NONE)
        why = head_check_request(check, head);
    if (why == FAILURE_NONE && head->line.request.method == METHOD_CONNECT)
        why = FAILURE_METHOD_REFUSED;
    return why;
}

/* ---- responses ---- */

/* HTTP/1.x SP three digits [SP reason] (RFC 9112 4); the blank before an empty reason may be missing. */
static bool parse_status_line(struct span line, struct head *head)
{
    if (line.length < 12 || parse_version(span_first(line, 8), &head->minor_version) != FAILURE_NONE ||
        line.at[8] != ' ')
        return false;
    unsigned status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return false;
        status = status * 10 + (unsigned)(line.at[i] - '0');
    }
    if (status < 100 || (line.length > 12 && line.at[12] != ' '))
        return false;
    head->line.response.status = (uint16_t)status;
    head->line.response.reason = line.length > 13 ? span_skip(line, 13) : SPAN("");
    return true;
}

enum failure h1_parse_response(struct span bytes, const struct limits_config *limits, struct arena *arena,
                               struct head *head, struct head_check *check)
{
    *head = (struct head){.body_length = BODY_NONE};
    *check = (struct head_check){.has_length = false};
    struct section section = {limits, arena, head, check, false};
    if (!parse_status_line(cut_line(&bytes), head))
        return FAILURE_RESPONSE_INVALID;
    enum failure why = parse_fields(&section, bytes);
    return why != FAILURE_NONE ? why : head_check_response(check, head);
}

enum failure h1_parse_trailers(struct span bytes, bool request, const struct limits_config *limits,
                               struct arena *arena, struct fields *fields)
{
    struct head head = {.body_length = BODY_NONE};
    struct head_check check = {.has_length = false};
    struct section section = {limits, arena, &head, &check, request};
    enum failure why = parse_fields(&section, bytes);
    *fields = head.fields;
    return why;
}
