#include "config/foreign_variables.h"

#include <string.h>

#include "base/text.h"

#define NO_GROUP "groups are filled in by rewrite: { regex: ..., replacement: ... } alone, as $1"
#define NO_PART "no variable holds a single part of it"
/* A line that is only left out lets in what it overwrote. */
#define NO_CERTIFICATE \
    "no variable holds a client's certificate; remove what strangers send under that name by request.headers"

const struct foreign_variable foreign_variables[] = {
    {"nginx", "$host", "${request.host}", NULL},
    {"nginx", "$http_host", "${request.host}", NULL},
    {"nginx", "$server_name", "${request.host}", NULL},
    {"nginx", "$request_uri", "${request.uri}", NULL},
    {"nginx", "$uri", "${request.path}", NULL},
    {"nginx", "$document_uri", "${request.path}", NULL},
    {"nginx", "$args", "${request.query}", NULL},
    {"nginx", "$query_string", "${request.query}", NULL},
    {"nginx", "$is_args", NULL, "${request.uri} is the path with its query"},
    {"nginx", "$scheme", "${request.scheme}", NULL},
    {"nginx", "$https", "${request.scheme}", NULL},
    {"nginx", "$request_method", "${request.method}", NULL},
    {"nginx", "$request", NULL, "write ${request.method} ${request.uri}"},
    {"nginx", "$request_id", "${request.id}", NULL},
    {"nginx", "$content_type", "${request.header.Content-Type}", NULL},
    {"nginx", "$content_length", "${request.header.Content-Length}", NULL},
    {"nginx", "$http_*", "${request.header.*}", NULL},
    {"nginx", "$remote_addr", "${client.ip}", NULL},
    {"nginx", "$binary_remote_addr", "${client.ip}", NULL},
    {"nginx", "$remote_port", "${client.port}", NULL},
    {"nginx", "$realip_remote_addr", "${peer.ip}", NULL},
    {"nginx", "$proxy_add_x_forwarded_for", NULL, "servers are sent X-Forwarded-For without being told to"},
    {"nginx", "$proxy_host", "${server}", NULL},
    {"nginx", "$upstream_addr", "${server}", NULL},
    {"nginx", "$status", "${status}", NULL},
    {"nginx", "$upstream_status", "${status}", NULL},
    {"nginx", "$ssl_protocol", "${tls.version}", NULL},
    {"nginx", "$ssl_server_name", "${tls.sni}", NULL},
    {"nginx", "$hostname", "${env.HOSTNAME}", NULL},
    {"nginx", "$arg_*", NULL, "the query is ${request.query}; " NO_PART},
    {"nginx", "$cookie_*", NULL, "the cookies are ${request.header.Cookie}; " NO_PART},
    {"nginx", "$server_port", NULL, "no variable holds the port; write the number"},
    {"nginx", "$server_addr", NULL, "no variable holds weir's own address"},
    {"nginx", "$remote_user", NULL, "weir knows no users"},
    {"nginx", "$ssl_client_*", NULL, NO_CERTIFICATE},
    {"nginx", "$sent_http_*", NULL, "no variable holds a header of the response"},
    {"nginx", "$upstream_http_*", NULL, "no variable holds a header of the response"},
    {"nginx", "$time_*", NULL, "no variable holds the time"},
    {"nginx", "$msec", NULL, "no variable holds the time"},
    {"HAProxy", "%[src]", "${client.ip}", NULL},
    {"HAProxy", "%[src_port]", "${client.port}", NULL},
    {"HAProxy", "%[method]", "${request.method}", NULL},
    {"HAProxy", "%[path]", "${request.path}", NULL},
    {"HAProxy", "%[pathq]", "${request.uri}", NULL},
    {"HAProxy", "%[url]", "${request.uri}", NULL},
    {"HAProxy", "%[capture.req.uri]", "${request.uri}", NULL},
    {"HAProxy", "%[query]", "${request.query}", NULL},
    {"HAProxy", "%[hdr(host)]", "${request.host}", NULL},
    {"HAProxy", "%[req.hdr(host)]", "${request.host}", NULL},
    {"HAProxy", "%[hdr(*)]", "${request.header.*}", NULL},
    {"HAProxy", "%[req.hdr(*)]", "${request.header.*}", NULL},
    {"HAProxy", "%[req.fhdr(*)]", "${request.header.*}", NULL},
    {"HAProxy", "%[unique-id]", "${request.id}", NULL},
    {"HAProxy", "%[ssl_fc_sni]", "${tls.sni}", NULL},
    {"HAProxy", "%[ssl_fc_protocol]", "${tls.version}", NULL},
    {"HAProxy", "%[env(*)]", "${env.*}", NULL},
    {"HAProxy", "%[ssl_c_*]", NULL, NO_CERTIFICATE},
    {"HAProxy", "%{+Q}[ssl_c_*]", NULL, NO_CERTIFICATE},
    {"HAProxy", "%[", NULL, "variables are written ${request.host}, and samples are not evaluated"},
    {"HAProxy", "%ci", "${client.ip}", NULL},
    {"HAProxy", "%cp", "${client.port}", NULL},
    {"HAProxy", "%si", "${server}", NULL},
    {"HAProxy", "%sp", NULL, "${server} is the server with its port"},
    {"HAProxy", "%HM", "${request.method}", NULL},
    {"HAProxy", "%HU", "${request.uri}", NULL},
    {"HAProxy", "%HP", "${request.path}", NULL},
    {"HAProxy", "%HPO", "${request.path}", NULL},
    {"HAProxy", "%HQ", "${request.query}", NULL},
    {"HAProxy", "%HV", NULL, "no variable holds the version of HTTP"},
    {"HAProxy", "%ID", "${request.id}", NULL},
    {"HAProxy", "%ST", "${status}", NULL},
    {"HAProxy", "%fi", NULL, "no variable holds weir's own address"},
    {"HAProxy", "%fp", NULL, "no variable holds the port; write the number"},
    {"HAProxy", "%ft", NULL, "${route} is the route, and no variable holds the listener"},
    {"HAProxy", "%bi", NULL, "no variable holds weir's own address"},
    {"Envoy", "%REQ(:AUTHORITY)%", "${request.host}", NULL},
    {"Envoy", "%REQ(HOST)%", "${request.host}", NULL},
    {"Envoy", "%REQ(:PATH)%", "${request.uri}", NULL},
    {"Envoy", "%REQ(:METHOD)%", "${request.method}", NULL},
    {"Envoy", "%REQ(:SCHEME)%", "${request.scheme}", NULL},
    {"Envoy", "%REQ(X-REQUEST-ID)%", "${request.id}", NULL},
    {"Envoy", "%REQ(*)%", "${request.header.*}", NULL},
    {"Envoy", "%STREAM_ID%", "${request.id}", NULL},
    {"Envoy", "%DOWNSTREAM_PEER_*%", NULL, NO_CERTIFICATE},
    {"Envoy", "%DOWNSTREAM_REMOTE_ADDRESS%", NULL, "write ${client.ip}:${client.port}"},
    {"Envoy", "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "${client.ip}", NULL},
    {"Envoy", "%DOWNSTREAM_REMOTE_PORT%", "${client.port}", NULL},
    {"Envoy", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "${peer.ip}", NULL},
    {"Envoy", "%DOWNSTREAM_TLS_VERSION%", "${tls.version}", NULL},
    {"Envoy", "%REQUESTED_SERVER_NAME%", "${tls.sni}", NULL},
    {"Envoy", "%RESPONSE_CODE%", "${status}", NULL},
    {"Envoy", "%UPSTREAM_HOST%", "${server}", NULL},
    {"Envoy", "%ROUTE_NAME%", "${route}", NULL},
    {"Envoy", "%HOSTNAME%", "${env.HOSTNAME}", NULL},
    {"Envoy", "%ENVIRONMENT(*)%", "${env.*}", NULL},
    {"Envoy", "%RESP(*)%", NULL, "no variable holds a header of the response"},
    {"Envoy", "%TRAILER(*)%", NULL, "no variable holds a trailer"},
    {"Envoy", "%REQ(", NULL, "variables are written ${request.header.NAME}, and hold one header"},
    {"Envoy", "%REQ_WITHOUT_QUERY(", NULL, "${request.path} is the path without its query"},
    {"Envoy", "%PATH(", NULL, "${request.path} is the path, ${request.uri} that with its query"},
    {"Envoy", "%QUERY_PARAM(*)%", NULL, "the query is ${request.query}; " NO_PART},
    {"Envoy", "%DYNAMIC_METADATA(", NULL, "weir has no metadata; variables are written ${request.host}"},
    {"Envoy", "%FILTER_STATE(", NULL, "weir has no filter state; variables are written ${request.host}"},
    {"Envoy", "%CEL(", NULL, "expressions are not evaluated; variables are written ${request.host}"},
    {"Envoy", "%PROTOCOL%", NULL, "no variable holds the version of HTTP"},
    {"Envoy", "%UPSTREAM_CLUSTER%", NULL, "${server} is the server, and no variable holds the pool"},
    {"Envoy", "%UPSTREAM_*%", NULL, "of servers there is ${server} alone"},
    {"Envoy", "%DOWNSTREAM_LOCAL_*%", NULL, "no variable holds weir's own address"},
    {"Envoy", "%DOWNSTREAM_*%", NULL, "of clients there are ${client.ip}, ${client.port} and ${peer.ip}"},
    {"Envoy", "%START_TIME%", NULL, "no variable holds the time"},
    {"Envoy", "%DURATION%", NULL, "times stand in the access log"},
    {"Envoy", "%BYTES_*%", NULL, "sizes stand in the access log"},
    {"Envoy", "%RESPONSE_*%", NULL, "the access log has the reason of each failure"},
    {"Envoy", "%CONNECTION_ID%", NULL, "no variable holds it; each request has ${request.id}"},
    {"Envoy", "%TRACE_ID%", NULL, "write ${request.header.traceparent}, or ${request.id}"},
    {"Apache", "%{HTTP_HOST}", "${request.host}", NULL},
    {"Apache", "%{HOST}", "${request.host}", NULL},
    {"Apache", "%{SERVER_NAME}", "${request.host}", NULL},
    {"Apache", "%{REQUEST_URI}", "${request.path}", NULL},
    {"Apache", "%{REQUEST_METHOD}", "${request.method}", NULL},
    {"Apache", "%{REQUEST_SCHEME}", "${request.scheme}", NULL},
    {"Apache", "%{QUERY_STRING}", "${request.query}", NULL},
    {"Apache", "%{REMOTE_ADDR}", "${client.ip}", NULL},
    {"Apache", "%{REMOTE_ADDR}s", "${client.ip}", NULL},
    {"Apache", "%{REMOTE_PORT}", "${client.port}", NULL},
    {"Apache", "%{UNIQUE_ID}", "${request.id}", NULL},
    {"Apache", "%{UNIQUE_ID}e", "${request.id}", NULL},
    {"Apache", "%{*}i", "${request.header.*}", NULL},
    {"Apache", "%{SSL_CLIENT_*}", NULL, NO_CERTIFICATE},
    {"Apache", "%{SSL_CLIENT_*}s", NULL, NO_CERTIFICATE},
    {"Caddy", "{{", NULL, "variables are written ${request.host}, and text in {{ }} is not evaluated"},
    {"Caddy", "{upstream_hostport}", "${server}", NULL},
    {"Caddy", "{http.reverse_proxy.upstream.hostport}", "${server}", NULL},
    {"Caddy", "{http.reverse_proxy.upstream.address}", "${server}", NULL},
    {"Caddy", "{http.reverse_proxy.*}", NULL, "of servers there is ${server} alone"},
    {"Caddy", "{rp.*}", NULL, "of servers there is ${server} alone"},
    {"Caddy", "{re.*}", NULL, NO_GROUP},
    {"Caddy", "{http.regexp.*}", NULL, NO_GROUP},
    {"Caddy", "{vars.*}", NULL, "weir has no variables of the file's own; write the text"},
    {"Caddy", "{http.vars.*}", NULL, "weir has no variables of the file's own; write the text"},
    {"Caddy", "{http.matchers.*}", NULL, "a route does not tell what it matched; write the text"},
    {"Caddy", "{labels.*}", NULL, "no variable holds a part of the host, which is ${request.host}"},
    {"Caddy", "{http.request.host.labels.*}", NULL,
     "no variable holds a part of the host, which is ${request.host}"},
    {"Caddy", "{http.error.status_code}", "${status}", NULL},
    {"Caddy", "{http.error.*}", NULL, "${status} is what holds the status"},
    {"Caddy", "{err.status_code}", "${status}", NULL},
    {"Caddy", "{err.*}", NULL, "${status} is what holds the status"},
    {"Caddy", "{query.*}", NULL, "the query is ${request.query}; " NO_PART},
    {"Caddy", "{http.request.uri.query.*}", NULL, "the query is ${request.query}; " NO_PART},
    {"Caddy", "{http.request.orig_uri.path}", "${request.path}", NULL},
    {"Caddy", "{http.request.remote}", NULL, "write ${client.ip}:${client.port}"},
    {"Caddy", "{http.request.port}", NULL, "no variable holds the port; write the number"},
    {"Caddy", "{http.request.proto}", NULL, "no variable holds the version of HTTP"},
    {"Caddy", "{http.auth.*}", NULL, "weir knows no users"},
    {"Caddy", "{system.hostname}", "${env.HOSTNAME}", NULL},
    {"Caddy", "{time.*}", NULL, "no variable holds the time"},
    {"Caddy", "{file.*}", NULL, "no variable holds a file; write the text, or ${env.NAME}"},
    {"Caddy", "{remote}", NULL, "write ${client.ip}:${client.port}"},
    {"Caddy", "{port}", NULL, "no variable holds the port; write the number"},
    {"Caddy", "{host}", "${request.host}", NULL},
    {"Caddy", "{hostport}", "${request.host}", NULL},
    {"Caddy", "{uri}", "${request.uri}", NULL},
    {"Caddy", "{path}", "${request.path}", NULL},
    {"Caddy", "{query}", "${request.query}", NULL},
    {"Caddy", "{method}", "${request.method}", NULL},
    {"Caddy", "{scheme}", "${request.scheme}", NULL},
    {"Caddy", "{remote_host}", "${client.ip}", NULL},
    {"Caddy", "{client_ip}", "${client.ip}", NULL},
    {"Caddy", "{remote_port}", "${client.port}", NULL},
    {"Caddy", "{header.*}", "${request.header.*}", NULL},
    {"Caddy", "{http.request.host}", "${request.host}", NULL},
    {"Caddy", "{http.request.hostport}", "${request.host}", NULL},
    {"Caddy", "{http.request.uri}", "${request.uri}", NULL},
    {"Caddy", "{http.request.uri.path}", "${request.path}", NULL},
    {"Caddy", "{http.request.uri.query}", "${request.query}", NULL},
    {"Caddy", "{http.request.orig_uri}", "${request.uri}", NULL},
    {"Caddy", "{http.request.method}", "${request.method}", NULL},
    {"Caddy", "{http.request.scheme}", "${request.scheme}", NULL},
    {"Caddy", "{http.request.remote.host}", "${client.ip}", NULL},
    {"Caddy", "{http.request.remote.port}", "${client.port}", NULL},
    {"Caddy", "{http.request.uuid}", "${request.id}", NULL},
    {"Caddy", "{http.request.header.*}", "${request.header.*}", NULL},
    {"Caddy", "{http.request.tls.client.*}", NULL, NO_CERTIFICATE},
    {"Caddy", "{tls_client_*}", NULL, NO_CERTIFICATE},
    {"Caddy", "{cookie.*}", NULL, "the cookies are ${request.header.Cookie}; " NO_PART},
    {"Caddy", "{http.request.cookie.*}", NULL, "the cookies are ${request.header.Cookie}; " NO_PART},
    {"Caddy", "{http.request.tls.version}", "${tls.version}", NULL},
    {"Caddy", "{http.request.tls.server_name}", "${tls.sni}", NULL},
    {"Caddy", "{tls_version}", "${tls.version}", NULL},
    {"Caddy", "{env.*}", "${env.*}", NULL},
    {"Caddy", "{$*}", "${env.*}", NULL},
    /* what is left */
    {"Caddy", "{http.request.tls.*}", NULL, "of TLS there are ${tls.version} and ${tls.sni}"},
    {"Caddy", "{http.request.*}", NULL, "weir.yaml(5) lists what variables hold under Variables"},
    {NULL, NULL, NULL, NULL},
};

static bool is_name(char c)
{
    char lower = ascii_lower(c);
    return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '_' || c == '-';
}

/* `%ci`: two letters or three that nothing closes */
static bool is_short(const char *theirs)
{
    return theirs[0] == '%' && is_name(theirs[1]) && strlen(theirs) <= 4;
}

static enum foreign_doubt doubt_of(const char *theirs)
{
    if (theirs[0] != '{')
        return is_short(theirs) ? FOREIGN_LIKELY : FOREIGN_PLAIN;
    return strpbrk(theirs, "._$") != NULL ? FOREIGN_LIKELY : FOREIGN_PERHAPS;
}

/* Length of what the row stands for at the front of `text`, 0: something else stands there. */
static size_t row_match(const struct foreign_variable *row, struct span text, struct span *name)
{
    const char *star = strchr(row->theirs, '*');
    struct span first =
        span_make(row->theirs, star != NULL ? (size_t)(star - row->theirs) : strlen(row->theirs));
    struct span last = span_of(star != NULL ? star + 1 : "");
    if (!span_equal_nocase(span_first(text, first.length), first))
        return 0;
    struct span rest = span_skip(text, first.length);
    size_t length = 0;
    /* a name in nginx's notation has no dashes of its own */
    while (star != NULL && length < rest.length &&
           ((is_name(rest.at[length]) && (rest.at[length] != '-' || last.length != 0)) ||
            (rest.at[length] == '.' && first.at[0] == '{')))
        length++;
    *name = span_first(rest, length);
    rest = span_skip(rest, length);
    if ((star != NULL && length == 0) || !span_equal_nocase(span_first(rest, last.length), last))
        return 0;
    bool is_word = star == NULL && (first.at[0] == '$' || is_short(row->theirs));
    if (is_short(row->theirs) && memcmp(text.at, first.at, first.length) != 0)
        return 0; /* there %st is not %ST */
    bool word_goes_on = is_word && last.length == 0 && rest.length != 0 && rest.at[0] != '-' &&
                        (is_name(rest.at[0]) || (is_short(row->theirs) && rest.at[0] == '%'));
    return word_goes_on ? 0 : first.length + length + last.length;
}

static const struct foreign_variable *plain_find(struct span text, enum foreign_doubt most, size_t *used,
                                                 struct span *name)
{
    const struct foreign_variable *found = NULL;
    *used = 0;
    for (const struct foreign_variable *row = foreign_variables; text.length != 0 && row->whose != NULL;
         row++) {
        struct span part;
        size_t length = row->theirs[0] == text.at[0] ? row_match(row, text, &part) : 0;
        bool whole = length == *used && found != NULL && strchr(row->theirs, '*') == NULL;
        if ((length > *used || whole) && length != 0 && doubt_of(row->theirs) <= most) {
            found = row;
            *used = length;
            *name = part;
        }
    }
    return found;
}

const struct foreign_variable *foreign_variable_find(struct span text, enum foreign_doubt most, size_t *used,
                                                     struct span *name)
{
    char copy[64];
    size_t end = span_find(text, '}');
    if (!span_starts(text, SPAN("${")) || end == text.length)
        return plain_find(text, most, used, name);
    if (end >= sizeof copy)
        return NULL;
    copy[0] = '$';
    memcpy(copy + 1, text.at + 2, end - 2);
    const struct foreign_variable *found = plain_find(span_make(copy, end - 1), FOREIGN_PLAIN, used, name);
    if (found == NULL || *used != end - 1)
        return NULL;
    *used = end + 1;
    *name = name->length != 0 ? span_make(text.at + 2 + (name->at - copy - 1), name->length) : SPAN_NONE;
    return found;
}

void foreign_variable_print(const struct foreign_variable *variable, struct span name, struct text *to)
{
    bool underscores =
        variable->theirs[0] == '$'; /* stand for dashes there, but for those of the environment */
    for (const char *at = variable->ours; *at != '\0'; at++) {
        if (*at != '*') {
            text_char(to, *at);
            continue;
        }
        for (size_t i = 0; i < name.length; i++)
            text_char(to, underscores && name.at[i] == '_' ? '-' : name.at[i]);
    }
}
