/* What can be read in two ways counts as such a scheme: a connection too few is shared then. */
#include "http/auth_scheme.h"

#include "base/base64.h"
#include "base/span.h"
#include "http/head.h"

static const struct span schemes[] = {
    {"NTLM", 4}, {"Negotiate", 9}, {"Nego2", 5}, {"Kerberos", 8}, {"CredSSP", 7}};

/* The first word; *rest: what follows it. */
static struct span cut_word(struct span text, struct span *rest)
{
    size_t end = 0;
    while (end < text.length && text.at[end] != ' ' && text.at[end] != '\t')
        end++;
    *rest = span_trim(span_skip(text, end));
    return span_first(text, end);
}

static bool is_of_connection(struct span text, struct span *rest)
{
    struct span word = cut_word(text, rest);
    for (size_t i = 0; i < COUNT_OF(schemes); i++)
        if (span_equal_nocase(word, schemes[i]))
            return true;
    return false;
}

/* A list of challenges and their parameters, whose commas look alike; quotes hide none. */
static enum auth_challenge challenge_in(struct span list)
{
    enum auth_challenge most = AUTH_CHALLENGE_NONE;
    struct span element, token;
    while (span_next_element(&list, &element)) {
        if (!is_of_connection(element, &token))
            continue;
        if (token.length != 0)
            return AUTH_CHALLENGE_GOES_ON;
        most = AUTH_CHALLENGE_BEGIN;
    }
    return most;
}

enum auth_challenge auth_challenge_of(const struct fields *response)
{
    static const struct span names[] = {{"WWW-Authenticate", 16}, {"Proxy-Authenticate", 18}};
    enum auth_challenge most = AUTH_CHALLENGE_NONE;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct field *field = fields_find_name(response, names[i]);
        for (; field != NULL; field = fields_next(response, field)) {
            enum auth_challenge found = challenge_in(field->value);
            most = found > most ? found : most;
        }
    }
    return most;
}

bool auth_is_of_connection(const struct head *request)
{
    struct span token;
    const struct fields *fields = &request->fields;
    const struct field *field = request->has_credentials ? fields_find(fields, FIELD_AUTHORIZATION) : NULL;
    for (; field != NULL; field = fields_next(fields, field))
        if (is_of_connection(field->value, &token))
            return true;
    return false;
}

/* ---- one form of credentials ---- */

/* Beyond the blanks that span_trim() takes, some servers split at bytes above 0x7f, and at a comma. */
static bool is_one_word(struct span token)
{
    for (size_t i = 0; i < token.length; i++)
        if (token.at[i] <= ' ' || token.at[i] > '~' || token.at[i] == ',')
            return false;
    return true;
}

/* Readers that are lenient skip what is not of the alphabet, stop at the padding, or take none. */
static bool is_strict_base64(struct span token)
{
    struct base64_reader reader = {0};
    unsigned char bytes[96 / 4 * 3 + 1];
    size_t wrote, end = span_find(token, '=');
    bool good = token.length - end <= 2;
    for (size_t at = 0; good && at < token.length; at += 96) {
        struct span piece = span_skip(token, at);
        good = base64_read(&reader, piece.at, piece.length < 96 ? piece.length : 96, bytes, &wrote);
    }
    return good && base64_is_whole(&reader);
}

/* name=value, that is no padding (RFC 9110 11.2). */
static bool begins_with_parameter(struct span text)
{
    size_t equal = span_find(text, '=');
    return equal != 0 && equal + 1 < text.length && text.at[equal + 1] != '=' &&
           is_one_word(span_first(text, equal));
}

bool auth_credentials_read(struct span value, struct span *scheme, struct span *rest)
{
    *scheme = cut_word(value, rest);
    if (rest->length == 0) { /* no scheme, and a server's own way to write what it wants */
        *rest = *scheme;
        *scheme = SPAN("");
        return is_one_word(*rest);
    }
    if (span_equal_nocase(*scheme, SPAN("Basic")))
        return is_strict_base64(*rest);
    if (!span_equal_nocase(*scheme, SPAN("Bearer")) && begins_with_parameter(*rest))
        return true;
    return is_one_word(*rest);
}
