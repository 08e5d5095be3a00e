/*
 * The rules that both codecs hold a message to (protocol.md 6 to 12): what its framing fields say, one Host,
 * Connection and Upgrade. A codec notes each field as it parses, then asks for the verdict. Framing fields
 * and Host never become fields of the head.
 */
#ifndef WEIR_HTTP_HEAD_CHECK_H
#define WEIR_HTTP_HEAD_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attributes.h"
#include "http/failure.h"
#include "http/head.h"

struct head_check {
    uint64_t seen; /* of what may come once: a bit by field_id */
    bool repeated;
    int64_t content_length;
    struct span length_text;
    unsigned host_count;
    struct span host;
    bool has_length, has_coding;
    bool chunked; /* seen in Transfer-Encoding */
    bool other_coding;
    bool bad_length, bad_coding;
    bool other_expectation;                         /* than 100-continue */
    bool says_close, says_keep_alive, says_upgrade; /* options of Connection */
    struct span upgrade;
};
/* True when the field, as it is then, must be kept among the head's fields; false when the check has taken
 * it. */
bool head_check_note(struct head_check *check, struct field *field, struct head *head);
/* Of a request's field whose name is not plain (field_name_is_plain()): it does not go on.
 * limits.underscore_names lets those pass that no server could take for one that weir knows: framing, hosts,
 * who the client is. */
bool name_is_dropped(struct span name, const struct limits_config *limits);
/* Methods are told apart by case (RFC 9110 9.1), but not by all servers: what weir took for no known method,
 * one would take for DELETE. NONE or BAD_METHOD. */
enum failure head_check_method(const struct head *head, const struct limits_config *limits) MUST_CHECK;
/* Sets body_length, length_given, authority, expect, upgrade of the head. */
enum failure head_check_request(struct head_check *check, struct head *head) MUST_CHECK;
/* Sets body_length and length_given, but for what the request's method says about it. NONE or
 * RESPONSE_INVALID. */
enum failure head_check_response(struct head_check *check, struct head *head) MUST_CHECK;
#endif
