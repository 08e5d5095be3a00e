/*
 * What is filled per request, as far as it can be judged before: that its names are weir's own, and that it
 * can become the URL, path or host it is meant for. What only a request can tell is judged there.
 */
#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "config/config_schema.h"
#include "config/foreign_variables.h"

#define FILLED '\1' /* in an outline: what is not known yet */

static bool is_word(char c)
{
    char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Length of the `$name` at the front, 0: there is none. */
static size_t dollar_name(struct span rest)
{
    size_t length = 1;
    if (rest.length == 0 || rest.at[0] != '$')
        return 0;
    while (length < rest.length && is_word(rest.at[length]))
        length++;
    return length > 1 ? length : 0;
}

static bool is_environment(struct span name)
{
    return name.length != 0 && (name.at[0] < '0' || name.at[0] > '9') &&
           strspn(name.at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") >= name.length;
}

/* ---- names ---- */

/* A page may have `$5` as text; the query never is a part of the path that servers are sent; only headers of
 * a response are filled once there is one. */
enum place_of_names { NAMES_OF_LINE, NAMES_OF_PAGE, NAMES_OF_PATH, NAMES_OF_RESPONSE };
struct naming {
    enum foreign_doubt most; /* what can be no plain text here */
    enum place_of_names place;
    struct text right; /* the value as weir writes it */
    struct span wrong; /* the first name that is not weir's */
    const char *whose; /* NULL: nobody's that is known */
    bool no_remedy;    /* what is said of `wrong` is no spelling */
    const char *hint;
};

static void naming_note(struct naming *naming, struct span wrong, const char *whose)
{
    if (naming->wrong.length == 0) {
        naming->wrong = wrong;
        naming->whose = whose;
    }
}

#define QUERY_STAYS "the query stays as it came, so leave it out of the path"

static bool is_query(const struct foreign_variable *foreign)
{
    return strcmp(foreign->theirs, "$is_args") == 0 ||
           (foreign->ours != NULL && strcmp(foreign->ours, "${request.query}") == 0);
}

/* A name in another spelling at the front of `rest`; its length, 0: none. `inside`: of a word, as in 50%bi */
static size_t foreign_take(struct naming *naming, struct span rest, bool inside)
{
    size_t used = 0;
    struct span name = SPAN_NONE;
    enum foreign_doubt most = inside && rest.at[0] == '%' ? FOREIGN_PLAIN : naming->most;
    const struct foreign_variable *foreign = foreign_variable_find(rest, most, &used, &name);
    if (foreign == NULL)
        return 0;
    if (foreign->ours != NULL && span_equal(span_first(rest, used), span_of(foreign->ours)))
        return 0; /* ours is spelt like theirs */
    naming_note(naming, span_first(rest, used), foreign->whose);
    const char *hint = naming->place == NAMES_OF_PATH && is_query(foreign) ? QUERY_STAYS : foreign->hint;
    if (naming->place == NAMES_OF_PATH && foreign->ours != NULL &&
        strcmp(foreign->ours, "${request.uri}") == 0) {
        text_print(&naming->right, "${request.path}");
    } else if (foreign->ours != NULL && hint == NULL) {
        foreign_variable_print(foreign, name, &naming->right);
    } else {
        *naming = (struct naming){.right = naming->right,
                                  .wrong = span_first(rest, used),
                                  .whose = foreign->whose,
                                  .no_remedy = true,
                                  .hint = hint};
    }
    return used;
}

/* `$NAME` and `${NAME}` as shells write the environment; others in braces are left to the template. */
static size_t dollar_take(struct naming *naming, struct span rest)
{
    bool braced = span_starts(rest, SPAN("${"));
    size_t length = braced ? span_find(rest, '}') + 1 : dollar_name(rest);
    if (length == 0 || length > rest.length)
        return 0;
    struct span name = braced ? span_make(rest.at + 2, length - 3) : span_make(rest.at + 1, length - 1);
    bool environment = is_environment(name);
    if (environment)
        text_print(&naming->right, "${env.%.*s}", (int)name.length, name.at);
    else
        text_add(&naming->right, span_first(rest, length));
    bool price = naming->place == NAMES_OF_PAGE && !braced && strspn(name.at, "0123456789") >= name.length;
    if (environment || !(braced || price))
        naming_note(naming, span_first(rest, length), NULL);
    naming->no_remedy = naming->no_remedy || !(environment || braced || price);
    return length;
}

static void naming_walk(struct naming *naming, struct span value)
{
    for (size_t i = 0; i < value.length && !naming->no_remedy;) {
        struct span rest = span_skip(value, i);
        bool inside = i != 0 && (is_word(value.at[i - 1]) || value.at[i - 1] == '%');
        size_t used = span_starts(rest, SPAN("$$")) ? 0 : foreign_take(naming, rest, inside);
        if (used == 0 && !span_starts(rest, SPAN("$$")))
            used = dollar_take(naming, rest);
        if (used == 0) {
            used = span_starts(rest, SPAN("$$")) ? 2 : 1;
            text_add(&naming->right, span_first(rest, used));
        }
        i += used;
    }
}

static bool early_check(const char *template, enum place_of_names place, struct error *error)
{
    return place == NAMES_OF_RESPONSE || config_hooks.template_early == NULL ||
           config_hooks.template_early(template, error);
}

/* What is told of the first name that is not weir's. */
static void naming_tell(const struct naming *naming, struct error *error)
{
    const char *wrong = naming->wrong.at, *whose = naming->whose;
    int length = naming->wrong.length < 80 ? (int)naming->wrong.length : 80;
    struct error early;
    if (naming->hint != NULL)
        error_set(error, "\"%.*s\" is %s's; %s", length, wrong, whose,
                  early_check(naming->hint, naming->place, &early) ? naming->hint : early.text);
    else if (naming->no_remedy && wrong[1] >= '0' && wrong[1] <= '9')
        error_set(error,
                  "\"%.*s\" is not filled in; only a replacement has groups, and $$ is one dollar sign",
                  length, wrong);
    else if (naming->no_remedy)
        error_set(
            error,
            "\"%.*s\" is not filled in; variables are written ${request.host}, and $$ is one dollar sign",
            length, wrong);
    else if (!early_check(naming->right.at, naming->place, &early))
        error_set(error, "\"%.*s\" is %s%s; %s", length, wrong, whose != NULL ? whose : "not filled in",
                  whose != NULL ? "'s" : "", early.text);
    else
        error_set(error, "\"%.*s\" is %s%s; write \"%.*s\"", length, wrong,
                  whose != NULL ? whose : "not filled in", whose != NULL ? "'s" : "",
                  (int)naming->right.length, naming->right.at);
}

/* What the environment brought is no name of anybody: the text of the file is looked at. */
static bool names_check(struct span value, enum foreign_doubt most, enum place_of_names place,
                        struct error *error)
{
    struct naming naming = {.most = most, .place = place, .right = text_growing()};
    naming_walk(&naming, schema_judged_text(value));
    if (naming.wrong.length != 0)
        naming_tell(&naming, error);
    text_free(&naming.right);
    return naming.wrong.length == 0;
}

/* {$NAME} and {$NAME:text} of Caddy, in which the braces are no text. */
static bool caddy_check(struct span value, struct error *error)
{
    value = schema_judged_text(value);
    const char *at = strstr(value.at, "{$");
    struct span rest = at != NULL ? span_of(at + 2) : SPAN_NONE;
    size_t end = span_find(rest, '}'), colon = span_find(span_first(rest, end), ':');
    if (at == NULL || end == rest.length || !is_environment(span_first(rest, colon)))
        return true;
    struct span text = colon < end ? span_make(rest.at + colon + 1, end - colon - 1) : SPAN_NONE;
    return error_set(error, "\"%.*s\" is Caddy's; write \"%.*s${env.%.*s%s%.*s}%s\"", (int)(end + 3), at,
                     (int)(at - value.at), value.at, (int)colon, rest.at, colon < end ? ":-" : "",
                     (int)text.length, text.length != 0 ? text.at : "", rest.at + end + 1);
}

static bool template_check(struct span value, enum place_of_names place, struct error *error)
{
    return caddy_check(value, error) && names_check(value, FOREIGN_PERHAPS, place, error) &&
           (config_hooks.template == NULL || config_hooks.template(value.at, error)) &&
           early_check(value.at, place, error);
}

bool syntax_environment(struct span value, struct error *error)
{
    if (!caddy_check(value, error))
        return false;
    value = schema_judged_text(value);
    for (size_t at = span_find(value, '$'); at < value.length;
         at += 1 + span_find(span_skip(value, at + 1), '$')) {
        struct span rest = span_skip(value, at), name = SPAN_NONE;
        size_t used = dollar_name(rest);
        if (used != 0 && is_environment(span_make(rest.at + 1, used - 1)))
            return names_check(value, FOREIGN_PLAIN, NAMES_OF_LINE, error);
        if (foreign_variable_find(rest, FOREIGN_PLAIN, &used, &name) != NULL)
            return error_set(
                error,
                "\"%.*s\" is not filled in here; only the environment is, written ${env.NAME}, when the file is read",
                (int)used, rest.at);
    }
    return true;
}

/* A blank at the end would be taken away, and others have no place in a line. */
static bool control_check(struct span value, struct error *error)
{
    for (size_t i = 0; i < value.length; i++)
        if (((unsigned char)value.at[i] < ' ' && value.at[i] != '\t') || value.at[i] == 0x7f)
            return error_set(error,
                             "this has a control character (0x%02x), which no head can have; remove it",
                             (unsigned char)value.at[i]);
    return true;
}

static bool header_check(struct span value, enum place_of_names place, struct error *error)
{
    return control_check(value, error) && template_check(value, place, error);
}

bool syntax_header(struct span value, struct error *error)
{
    return header_check(value, NAMES_OF_LINE, error);
}

bool syntax_response_header(struct span value, struct error *error)
{
    return header_check(value, NAMES_OF_RESPONSE, error);
}

bool syntax_body(struct span value, struct error *error)
{
    return names_check(value, FOREIGN_PLAIN, NAMES_OF_PAGE, error) &&
           (config_hooks.template == NULL || config_hooks.template(value.at, error)) &&
           early_check(value.at, NAMES_OF_PAGE, error);
}

/* Pages have braces and percent signs of their own. */
bool doubt_body(struct span value, struct error *error)
{
    return names_check(value, FOREIGN_LIKELY, NAMES_OF_PAGE, error);
}

/* ---- what it can become ---- */

/* The text of a template with FILLED for each `${...}`. */
static struct text outline_of(struct span value)
{
    struct text outline = text_growing();
    for (size_t i = 0; i < value.length; i++) {
        struct span rest = span_skip(value, i);
        if (span_starts(rest, SPAN("${")))
            i += span_find(rest, '}');
        else if (span_starts(rest, SPAN("$$")))
            i++;
        text_char(&outline, span_starts(rest, SPAN("${")) ? FILLED : rest.at[0]);
    }
    return outline;
}

/* RFC 3986 2: what no URL has. */
static bool url_bytes_check(struct span outline, const char *whole, struct error *error)
{
    for (size_t i = 0; i < outline.length; i++) {
        unsigned char c = (unsigned char)outline.at[i];
        if (c >= 0x80)
            return error_set(
                error,
                "\"%s\" has a character that is not ASCII; write its bytes as %%%02X..., in a host xn--...",
                whole, c);
        if (c == ' ')
            return error_set(error, "\"%s\" has a blank, which a URL cannot have; write %%20", whole);
        if ((c < ' ' && c != FILLED) || c == 0x7f || strchr("\"<>\\^`{|}", c) != NULL)
            return error_set(error, "\"%s\" has the character %s%c%s, which a URL cannot have; write %%%02X",
                             whole, c < ' ' ? "" : "'", c < ' ' ? '?' : c, c < ' ' ? "" : "'", c);
    }
    return true;
}

static bool is_scheme(struct span scheme)
{
    for (size_t i = 0; i < scheme.length; i++)
        if (scheme.at[i] == '_' || (!is_word(scheme.at[i]) && strchr("+-.", scheme.at[i]) == NULL))
            return false;
    return scheme.length != 0 && ascii_lower(scheme.at[0]) >= 'a' && ascii_lower(scheme.at[0]) <= 'z';
}

static bool scheme_check(struct span scheme, struct error *error)
{
    static const char *const known[] = {"https", "http"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (span_equal_nocase(scheme, span_of(known[i])))
            return true;
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (text_distance(scheme, span_of(known[i]), 2) <= 2)
            return error_set(error, "\"%.*s\" is not a scheme; did you mean \"%s\"?", (int)scheme.length,
                             scheme.at, known[i]);
    return true; /* of an application's own, as in myapp://login */
}

/* What people write for a redirect that is no URL. */
static bool bare_word_check(struct span outline, struct span value, struct error *error)
{
    if (outline.length == 3 && outline.at[0] == '3' && strspn(outline.at, "0123456789") == 3)
        return error_set(error,
                         "\"%s\" is a status, not a URL; write redirect: { to: \"https://...\", status: %s }",
                         value.at, value.at);
    if (span_is(outline, "true") || span_is(outline, "http") || span_is(outline, "https"))
        return error_set(error,
                         "\"%s\" is not a URL; write redirect: { scheme: https } to change only the scheme",
                         value.at);
    if (outline.at[0] == FILLED)
        return error_set(
            error, "this begins with the host, and a browser would take it for a path; write \"https://%s\"",
            value.at);
    struct span scheme = span_first(outline, span_find(outline, ':'));
    bool port = scheme.length + 1 < outline.length && outline.at[scheme.length + 1] >= '0' &&
                outline.at[scheme.length + 1] <= '9';
    bool scripted = scheme.length < outline.length && is_scheme(scheme) && !port &&
                    memchr(scheme.at, '.', scheme.length) == NULL;
    if (scripted)
        return error_set(error,
                         "\"%s\" is nothing that weir sends clients to; write a URL such as "
                         "\"https://www.example.com/\", or a path that begins with \"/\"",
                         value.at);
    return error_set(error, "\"%s\" is not a URL; write \"https://%s\", or a path that begins with \"/\"",
                     value.at, value.at);
}

/* The scheme that the file names, or that of the request. */
static size_t scheme_length(struct span text)
{
    const char *colon = memmem(text.at, text.length, "://", 3);
    struct span scheme = span_first(text, colon != NULL ? (size_t)(colon - text.at) : 0);
    return is_scheme(scheme) || span_is(scheme, "${request.scheme}") ? scheme.length + 3 : 0;
}

struct location_parts location_split(struct span text)
{
    size_t begin = span_starts(text, SPAN("//")) ? 2
                   : text.length != 0            ? scheme_length(text)
                                                 : 0,
           end = begin;
    while (begin != 0 && end < text.length && strchr("/?#\\", text.at[end]) == NULL) {
        struct span rest = span_skip(text, end);
        if (span_starts(rest, SPAN("${request.path}")) || span_starts(rest, SPAN("${request.uri}")))
            break;
        end += span_starts(rest, SPAN("${")) ? span_find(rest, '}') : 0;
        end += end < text.length;
    }
    return (struct location_parts){.prefix = span_first(text, begin),
                                   .host = span_make(text.at + begin, end - begin),
                                   .rest = span_skip(text, end)};
}

/* What a client writes at will must not become a part of a host that the file names:
 * "https://a.test${request.query}" goes to a.test.evil.com. */
static bool host_variables_check(struct span host, struct error *error)
{
    static const char *const never[] = {"${request.query}", "${request.path}", "${request.uri}",
                                        "${request.method}"};
    for (size_t i = 0, end; i < host.length; i = end) {
        struct span rest = span_skip(host, i);
        end = i + 1;
        if (!span_starts(rest, SPAN("${")))
            continue;
        end = i + span_find(rest, '}') + 1;
        struct span variable = span_first(rest, end - i <= rest.length ? end - i : rest.length);
        for (size_t k = 0; k < COUNT_OF(never); k++)
            if (span_is(variable, never[k]))
                return error_set(error, "%s would be a part of the host here; put a \"/\" or \"?\" before it",
                                 never[k]);
        if (end >= host.length && i != 0 && (is_word(host.at[i - 1]) || host.at[i - 1] == '-') &&
            span_starts(variable, SPAN("${request.header.")))
            return error_set(error,
                             "%.*s would make another host of the one before it; put a \"/\" between them",
                             (int)variable.length, variable.at);
    }
    return true;
}

/* What is filled in may bring the port, or be it. */
static bool port_check(struct span authority, struct error *error)
{
    struct span port = authority_port(authority);
    bool is_known = port.at != NULL && memchr(port.at, FILLED, port.length) == NULL;
    return !is_known || syntax_port(port, error);
}

static bool host_bytes_check(struct span outline, struct span value, bool port, struct error *error)
{
    const char *scheme = strstr(value.at, "://");
    if (scheme != NULL)
        return error_set(error,
                         "\"%s\" is a URL; a host is written without \"%.*s\", such as \"example.com\"",
                         value.at, (int)(scheme - value.at) + 3, value.at);
    if (outline.length == 0)
        return error_set(error, "a host cannot be empty; write one such as \"example.com\"");
    bool in_brackets = outline.at[0] == '[';
    for (size_t i = 0; i < outline.length; i++) {
        char c = outline.at[i];
        bool fits = is_word(c) || c == FILLED || c == '.' || c == '-' ||
                    (in_brackets && (c == '[' || c == ']' || c == ':')) || (port && c == ':');
        if (!fits && c == ':')
            return error_set(error, "\"%s\" has a port; write it as a key of its own, port: %s", value.at,
                             value.at + value.length - (outline.length - i - 1));
        if ((unsigned char)c >= 0x80)
            return error_set(
                error, "\"%s\" has a character that is not ASCII; write the host as it is in DNS, xn--...",
                value.at);
        if (!fits)
            return error_set(
                error, "\"%s\" is not a host; it has the character '%c'; write one such as www.example.com",
                value.at, c);
    }
    return !port || port_check(outline, error);
}

/* Of a whole location; without one there is nothing to judge. */
static bool location_host_check(struct span value, struct error *error)
{
    struct span host = location_split(value).host;
    struct text whole = text_growing();
    text_add(&whole, host); /* ended as messages want it */
    struct text outline = outline_of(text_span(&whole));
    bool good = host.length == 0 || (host_variables_check(text_span(&whole), error) &&
                                     host_bytes_check(text_span(&outline), text_span(&whole), true, error));
    text_free(&outline);
    text_free(&whole);
    return good;
}

static bool location_check(struct span outline, struct span value, struct error *error)
{
    const char *colon = outline.length != 0 ? strstr(outline.at, "://") : NULL;
    struct span scheme = span_first(outline, colon != NULL ? (size_t)(colon - outline.at) : 0);
    struct span rest = span_skip(outline, colon != NULL ? scheme.length + 3 : 0);
    bool host_first = span_starts(value, SPAN("${request.host}"));
    if (outline.length == 0)
        return error_set(error, "a redirect needs a URL; write one such as \"https://example.com/\"");
    if (outline.at[0] == '/' || (outline.at[0] == FILLED && !host_first))
        return url_bytes_check(outline, value.at, error) && location_host_check(value, error);
    if (!is_scheme(scheme))
        return bare_word_check(outline, value, error);
    if (rest.length == 0 || strchr("/?#:", rest.at[0]) != NULL)
        return error_set(error, "\"%s\" has no host; write one after \"%.*s://\"", value.at,
                         (int)scheme.length, scheme.at);
    return scheme_check(scheme, error) && url_bytes_check(outline, value.at, error) &&
           location_host_check(value, error);
}

/* The status that a word of nginx or Caddy stands for, or that it is; 0: it is none. */
static unsigned status_word(struct span word)
{
    static const struct {
        const char *word;
        unsigned status;
    } words[] = {{"permanent", 301}, {"redirect", 302}, {"temporary", 302}};
    uint64_t number;
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (span_equal_nocase(word, span_of(words[i].word)))
            return words[i].status;
    return word.length == 3 && text_to_number(word, 399, &number) && number >= 300 ? (unsigned)number : 0;
}

/* `301 https://...` and `https://... permanent`, as directives are written: two keys here. */
static bool status_beside_check(struct span value, struct error *error)
{
    size_t blank = span_find(value, ' ');
    struct span first = span_first(value, blank),
                second = span_trim(span_skip(value, blank < value.length ? blank : 0));
    unsigned status = status_word(first), behind = status_word(second);
    if (blank == value.length || second.length == 0 || (status == 0) == (behind == 0))
        return true;
    struct naming naming = {.most = FOREIGN_PERHAPS, .right = text_growing()};
    naming_walk(&naming, status != 0 ? second : first);
    (void)error_set(error,
                    "\"%s\" has a status beside the place; write redirect: { to: \"%.*s\", status: %u }",
                    value.at, (int)naming.right.length, naming.right.at, status != 0 ? status : behind);
    text_free(&naming.right);
    return false;
}

bool syntax_location(struct span value, struct error *error)
{
    struct text outline = outline_of(value);
    bool good = status_beside_check(value, error) && template_check(value, NAMES_OF_LINE, error) &&
                location_check(text_span(&outline), value, error);
    text_free(&outline);
    return good;
}

bool syntax_scheme(struct span value, struct error *error)
{
    struct span word = span_first(value, strcspn(value.at, ":/"));
    if (span_is(value, "http") || span_is(value, "https"))
        return true;
    bool secure = text_distance(word, SPAN("https"), 2) <= 1;
    bool plain = !secure && text_distance(word, SPAN("http"), 2) <= 1;
    return error_set(error, "\"%s\" is not a scheme;%s scheme takes http or https", value.at,
                     secure  ? " did you mean \"https\"?"
                     : plain ? " did you mean \"http\"?"
                             : "");
}

static bool host_template_check(struct span value, bool port, struct error *error)
{
    struct text outline = outline_of(value);
    bool good = template_check(value, NAMES_OF_LINE, error) && host_variables_check(value, error) &&
                host_bytes_check(text_span(&outline), value, port, error);
    text_free(&outline);
    return good;
}

bool syntax_redirect_host(struct span value, struct error *error)
{
    return host_template_check(value, false, error);
}

bool syntax_rewrite_host(struct span value, struct error *error)
{
    return host_template_check(value, true, error);
}

static bool path_outline_check(struct span outline, struct span value, bool query, struct error *error)
{
    if (strstr(value.at, "://") != NULL && value.at[0] != '/')
        return error_set(error, "\"%s\" is a URL, and a path begins with \"/\"; %s", value.at,
                         query ? "write redirect: { to: ... } for a whole URL"
                               : "a request goes elsewhere by pool, a client by redirect");
    if (outline.length == 0 || (outline.at[0] != '/' && outline.at[0] != FILLED))
        return error_set(error, "\"%s\" does not begin with \"/\"; write \"/%s\"", value.at,
                         value.at + strspn(value.at, "~*^ /"));
    if (!query && memchr(outline.at, '?', outline.length) != NULL)
        return error_set(error, "\"%s\" has a \"?\"; the query stays as it came, so write the path alone",
                         value.at);
    if (!query && memchr(outline.at, '#', outline.length) != NULL)
        return error_set(error, "\"%s\" has a \"#\", which servers are never sent; write the path alone",
                         value.at);
    return url_bytes_check(outline, value.at, error);
}

bool syntax_redirect_path(struct span value, struct error *error)
{
    struct text outline = outline_of(value);
    bool good = template_check(value, NAMES_OF_LINE, error) &&
                path_outline_check(text_span(&outline), value, true, error);
    text_free(&outline);
    return good;
}

bool syntax_rewrite_path(struct span value, struct error *error)
{
    struct text outline = outline_of(value);
    bool good = template_check(value, NAMES_OF_PATH, error) &&
                path_outline_check(text_span(&outline), value, false, error);
    if (good && (strstr(value.at, "${request.uri}") != NULL || strstr(value.at, "${request.query}") != NULL))
        good = error_set(
            error, "\"%s\" would bring the query into the path; it stays by itself, so write ${request.path}",
            value.at);
    text_free(&outline);
    return good;
}

bool syntax_prefix(struct span value, struct error *error)
{
    return syntax_environment(value, error) && path_outline_check(value, value, false, error);
}

/* ---- replacements: $0 to $9, and no other variables ---- */

static bool group_check(struct span rest, size_t length, unsigned groups, struct error *error)
{
    bool is_number = rest.length > 1 && rest.at[1] >= '0' && rest.at[1] <= '9';
    if (!is_number && length == 0)
        return error_set(
            error, "a \"$\" here stands before no group; $0 to $9 are groups, and $$ is one dollar sign");
    if (!is_number)
        return error_set(
            error,
            "\"%.*s\" is not a group; a replacement has $0 to $9, and $$ is one dollar sign; path: takes "
            "variables",
            (int)length, rest.at);
    if ((unsigned)(rest.at[1] - '0') > groups)
        return error_set(error, "\"$%c\" is a group that the regex lacks; it has %u", rest.at[1], groups);
    return true;
}

/* The replacement with FILLED for each group; false: the error is set. */
static bool replacement_outline(struct span value, unsigned groups, struct text *outline, struct error *error)
{
    for (size_t i = 0; i < value.length; i++) {
        struct span rest = span_skip(value, i);
        bool is_group = rest.at[0] == '$' && !span_starts(rest, SPAN("$$"));
        if (is_group && !group_check(rest, dollar_name(rest), groups, error))
            return false;
        if (rest.length > 1 && rest.at[0] == '\\' && rest.at[1] >= '0' && rest.at[1] <= '9')
            return error_set(error, "\"\\%c\" is not filled in; write $%c for that group", rest.at[1],
                             rest.at[1]);
        text_char(outline, is_group ? FILLED : rest.at[0]);
        i += rest.at[0] == '$';
    }
    return true;
}

bool replacement_check(const char *regex, const char *replacement, unsigned groups, struct error *error)
{
    struct span value = span_of(replacement);
    struct text outline = text_growing();
    bool good = replacement_outline(value, groups, &outline, error);
    /* what is found in the middle of a path needs no "/" */
    bool anywhere = regex[0] != '^' || outline.length == 0 || outline.at[0] == FILLED;
    struct text path = text_growing();
    if (anywhere)
        text_char(&path, '/');
    text_add(&path, text_span(&outline));
    good = good && path_outline_check(text_span(&path), value, false, error);
    text_free(&path);
    text_free(&outline);
    return good;
}

/* Where an expression that begins a path really begins: behind flags, "^" and opening brackets. */
static const char *pattern_start(const char *regex)
{
    size_t flags = strspn(regex, "(?") == 2 ? 2 + strspn(regex + 2, "imsxn") : 0;
    if (flags > 2 && regex[flags] == ')')
        regex += flags + 1;
    while (*regex == '^' || *regex == '(')
        regex += strncmp(regex, "(?:", 3) == 0 ? 3 : 1;
    return regex;
}

static bool begins_with_slash(const char *pattern)
{
    while (*pattern == '(')
        pattern += strncmp(pattern, "(?:", 3) == 0 ? 3 : 1;
    return *pattern == '/' || strncmp(pattern, "\\/", 2) == 0;
}

/* What stands in its brackets; NULL: no such group is found. */
static const char *group_text(const char *regex, unsigned number)
{
    bool in_class = false;
    for (const char *at = regex; *at != '\0'; at++) {
        if (*at == '\\' && at[1] != '\0')
            at++;
        else if (in_class || *at == '[')
            in_class = *at != ']' || at[-1] == '[';
        else if (*at == '(' && at[1] != '?' && at[1] != '*' && --number == 0)
            return at + 1;
    }
    return NULL;
}

/* The plain text that every match of it begins with, up to `end`. */
static struct span plain_beginning(const char *regex, const char *end)
{
    size_t length = regex[0] == '^' ? strspn(regex + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                                        "0123456789/_-")
                                    : 0;
    return length != 0 && regex + 1 + length == end ? span_make(regex + 1, length) : SPAN_NONE;
}

/* Of every path that the route takes a slash follows that text, or nothing. */
static bool paths_go_on_with_slash(struct span text, const struct texts *paths)
{
    size_t fit = 0;
    for (size_t i = 0; i < paths->count; i++) {
        struct span path = span_of(paths->items[i]);
        bool is_pattern = span_starts(path, SPAN("~^"));
        path = span_skip(path, is_pattern ? 2 : 0);
        bool starts = text.length != 0 && span_starts(path, text);
        fit += starts && (path.length == text.length ? !is_pattern : path.at[text.length] == '/');
    }
    return fit != 0 && fit == paths->count;
}

bool replacement_doubt(const char *regex, const char *replacement, const struct texts *paths,
                       struct error *error)
{
    const char *taken = regex + strlen(regex), *start = pattern_start(regex);
    bool is_group = replacement[0] == '$' && replacement[1] >= '0' && replacement[1] <= '9';
    if (replacement[0] == '/' || (is_group && replacement[1] == '0') || strchr(regex, '|') != NULL)
        return true;
    if (is_group) {
        taken = group_text(regex, (unsigned)(replacement[1] - '0'));
        if (taken == NULL || taken == start || begins_with_slash(taken))
            return true;
        taken--; /* its bracket */
    } else if (!begins_with_slash(start) || (replacement[0] == '\0' && taken[-1] == '$')) {
        return true; /* not the beginning of a path, or all of it */
    }
    if (paths_go_on_with_slash(plain_beginning(regex, taken), paths))
        return true;
    if (replacement[0] == '\0')
        return error_set(
            error, "what is left of a path need not begin with \"/\" then, and the request is answered 500; "
                   "strip_prefix takes off whole segments");
    return error_set(
        error,
        "what \"%s\" makes need not begin with \"/\", and the request is answered 500 then; write "
        "\"/%s\"",
        replacement, replacement);
}
