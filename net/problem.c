#include "net/problem.h"

#include <strings.h>

#define URN "urn:xacthuc:problem:"

static const struct xt_problem_text problems[XT_PROBLEM_COUNT] = {
    [XT_PROBLEM_NONE] = {200, "none", "", "", "", 0},
    [XT_PROBLEM_MALFORMED_HTTP] = {400, "malformed_http", "The request is not valid HTTP/1.1",
                                   "Yêu cầu không đúng cú pháp HTTP/1.1",
                                   "Send requests as RFC 9112 says. The connection is closed.", 0},
    [XT_PROBLEM_BAD_HOST] = {400, "bad_host", "The Host field is missing, repeated or malformed",
                             "Trường Host thiếu, lặp lại hoặc sai",
                             "Send exactly one Host field. The connection is closed.", 0},
    [XT_PROBLEM_QUERY_NOT_PERMITTED] =
        {400, "query_not_permitted", "A target here has no query",
         "Địa chỉ không được có phần truy vấn",
         "Take the part after the question mark off; data goes in the body only.", 0},
    [XT_PROBLEM_INVALID_QUERY] = {400, "invalid_query",
                                  "The part after the question mark is not acceptable",
                                  "Phần truy vấn của địa chỉ không hợp lệ",
                                  "Send ?by= once, with different names of the dimensions that "
                                  "/openapi.json lists, separated by commas.",
                                  0},
    [XT_PROBLEM_DIMENSIONS_NOT_OFFERED] =
        {400, "dimensions_not_offered", "These dimensions are not offered together",
         "Không thống kê đồng thời theo các tiêu chí này",
         "Ask for one or two of them, or for province or unit with age and sex; not for province "
         "and unit together.",
         0},
    [XT_PROBLEM_INVALID_REQUEST] = {400, "invalid_request", "The request body is not acceptable",
                                    "Nội dung yêu cầu không hợp lệ",
                                    "Mend the members listed in errors and send it again.", 0},
    [XT_PROBLEM_INVALID_CLIENT] = {401, "invalid_client", "client_id is not the caller's name",
                                   "client_id không phải là tên của bên gọi",
                                   "Leave client_id out, or send the name that the operator gave "
                                   "you: the certificate says who you are.",
                                   0},
    [XT_PROBLEM_UNAUTHORIZED_CLIENT] = {400, "unauthorized_client",
                                        "The token was given to another partner",
                                        "Token đã được cấp cho đối tác khác",
                                        "Only who was given a token revokes it.", 0},
    [XT_PROBLEM_INVALID_GRANT] = {400, "invalid_grant",
                                  "auth_req_id names no open request of yours",
                                  "auth_req_id không chỉ yêu cầu nào đang mở của bạn",
                                  "Ask for another one: a request is good for one token.", 0},
    [XT_PROBLEM_UNSUPPORTED_GRANT_TYPE] = {400, "unsupported_grant_type",
                                           "There is no such grant type here",
                                           "Không hỗ trợ loại grant này",
                                           "Send urn:openid:params:grant-type:ciba.", 0},
    [XT_PROBLEM_INVALID_SCOPE] = {400, "invalid_scope", "scope must have openid in it",
                                  "scope phải có openid",
                                  "Send scopes separated by a space, at most 128 characters.", 0},
    [XT_PROBLEM_INVALID_BINDING_MESSAGE] = {400, "invalid_binding_message",
                                            "binding_message is too long or misleads",
                                            "binding_message quá dài hoặc gây nhầm lẫn",
                                            "Send at most 128 bytes of plain text, without "
                                            "characters that turn text round.",
                                            0},
    [XT_PROBLEM_AUTHORIZATION_PENDING] = {400, "authorization_pending",
                                          "The citizen has not decided yet",
                                          "Công dân chưa quyết định",
                                          "Ask again after the interval.", 0},
    [XT_PROBLEM_SLOW_DOWN] = {400, "slow_down", "You ask more often than the interval",
                              "Bạn hỏi dày hơn khoảng thời gian quy định",
                              "Wait 5 seconds longer between two questions.", 0},
    [XT_PROBLEM_ACCESS_DENIED] = {400, "access_denied", "The citizen has refused",
                                  "Công dân đã từ chối", "Do not ask again unless he wants it.", 0},
    [XT_PROBLEM_EXPIRED_TOKEN] = {400, "expired_token", "The request is over", "Yêu cầu đã hết hạn",
                                  "Ask for another one.", 0},
    [XT_PROBLEM_REQUEST_CLOSED] = {409, "request_closed",
                                   "The request is decided, over, or not this person's",
                                   "Yêu cầu đã được quyết định, hết hạn hoặc của người khác",
                                   "Fetch the pending requests again.", 0},
    [XT_PROBLEM_BAD_CONTENT_DIGEST] = {400, "bad_content_digest",
                                       "Content-Digest does not fit the body",
                                       "Content-Digest không khớp với nội dung",
                                       "Send sha-256 or sha-512 of the body as RFC 9530 has it.",
                                       0},
    [XT_PROBLEM_SIGNATURE_NOT_POSSIBLE] =
        {400, "signature_not_possible", "The answer cannot be signed as Accept-Signature asks",
         "Không thể ký câu trả lời theo Accept-Signature",
         "One signature over \"@status\" and \"content-digest\", and of the request \"@method\", "
         "\"@path\" and a \"content-digest\" that is there; with created, keyid, alg ed25519, "
         "nonce "
         "or tag of at most 64 characters.",
         0},
    [XT_PROBLEM_LEGAL_BASIS_MISSING] = {400, "legal_basis_missing",
                                        "This purpose needs a legal basis",
                                        "Mục đích này cần nêu căn cứ pháp lý",
                                        "Send legal_basis with the request.", 0},
    [XT_PROBLEM_CONSENT_MISSING] = {400, "consent_missing",
                                    "This purpose needs a consent reference",
                                    "Mục đích này cần tham chiếu sự đồng ý",
                                    "Send consent_ref with the request.", 0},
    [XT_PROBLEM_CLAIM_MISSING] = {400, "claim_missing", "This purpose needs more claims",
                                  "Mục đích này cần thêm thông tin để đối chiếu",
                                  "Send the claims that errors names as well.", 0},
    [XT_PROBLEM_AUTHENTICATION_FAILED] =
        {401, "authentication_failed", "The citizen is not authenticated",
         "Không xác thực được công dân",
         "Why is not told. Try again with a new challenge, more slowly after several failures.", 0},
    [XT_PROBLEM_UNKNOWN_CERTIFICATE] =
        {401, "unknown_certificate", "The client certificate belongs to no partner",
         "Chứng thư không thuộc đối tác nào",
         "Ask the operator to register the certificate (xacthuc partner).", 0},
    [XT_PROBLEM_CERTIFICATE_EXPIRED] = {401, "certificate_expired",
                                        "The client certificate has expired",
                                        "Chứng thư đã hết hạn",
                                        "Connect again with a certificate that is in force.", 0},
    [XT_PROBLEM_CERTIFICATE_REFUSED] = {401, "certificate_refused",
                                        "The client certificate is not accepted any more",
                                        "Chứng thư không còn được chấp nhận",
                                        "It or its authority was revoked since this connection "
                                        "began: connect again with another.",
                                        0},
    [XT_PROBLEM_PARTNER_INACTIVE] = {403, "partner_inactive", "The partner is disabled",
                                     "Đối tác đang bị tạm ngừng",
                                     "Ask the operator to activate the partner.", 0},
    [XT_PROBLEM_NETWORK_NOT_PERMITTED] = {403, "network_not_permitted",
                                          "Calls from this network are not permitted",
                                          "Không được gọi từ mạng này",
                                          "Call from one of the partner's registered networks.", 0},
    [XT_PROBLEM_PURPOSE_NOT_PERMITTED] = {403, "purpose_not_permitted",
                                          "The purpose is not registered for this partner",
                                          "Mục đích chưa được đăng ký cho đối tác",
                                          "Use a registered purpose or have this one added.", 0},
    [XT_PROBLEM_CLAIM_NOT_PERMITTED] = {403, "claim_not_permitted",
                                        "A claim is not permitted for this purpose",
                                        "Có thông tin không được hỏi cho mục đích này",
                                        "Leave out the claims listed in errors.", 0},
    [XT_PROBLEM_ATTRIBUTE_NOT_PERMITTED] =
        {403, "attribute_not_permitted", "An attribute is not permitted for this purpose",
         "Có thông tin không được cung cấp cho mục đích này",
         "Leave out the attributes, or have them added to the purpose; sensitive ones need the "
         "right sensitive as well.",
         0},
    [XT_PROBLEM_CONSENT_REFUSED] =
        {403, "consent_refused", "There is no consent that counts for this",
         "Không có sự đồng ý có hiệu lực cho yêu cầu này",
         "Why is not told. Ask the citizen for a new consent: for you, this purpose and these "
         "attributes.",
         0},
    [XT_PROBLEM_NAME_LEVEL_NOT_PERMITTED] =
        {403, "name_level_not_permitted", "This level of name matching needs a right",
         "Mức so khớp họ tên này cần được cấp quyền",
         "Ask for exact or spelling, or have the right advisory added.", 0},
    [XT_PROBLEM_ENDPOINT_NOT_PERMITTED] = {403, "endpoint_not_permitted",
                                           "The partner may not use this endpoint",
                                           "Đối tác không được dùng địa chỉ này",
                                           "Ask the operator for the right that it needs.", 0},
    [XT_PROBLEM_LEVEL_TOO_LOW] = {403, "level_too_low",
                                  "This needs a higher level of authentication",
                                  "Việc này cần mức độ xác thực cao hơn",
                                  "Send more factors of different kinds, or a device's that a "
                                  "biometric unlocks.",
                                  0},
    [XT_PROBLEM_NOT_FOUND] = {404, "not_found", "There is nothing at this target",
                              "Không có gì ở địa chỉ này", "See /openapi.json for what there is.",
                              0},
    [XT_PROBLEM_METHOD_NOT_ALLOWED] = {405, "method_not_allowed",
                                       "The method does not fit this target",
                                       "Phương thức không dùng được ở địa chỉ này",
                                       "Use a method of the Allow field.", 0},
    [XT_PROBLEM_REQUEST_TIMEOUT] = {408, "request_timeout", "The request took too long to arrive",
                                    "Yêu cầu gửi đến quá chậm",
                                    "Send it again on a new connection, in one go.", 0},
    [XT_PROBLEM_UNKNOWN_PERSON] = {409, "unknown_person", "Nobody has this number",
                                   "Không có ai mang số này", "Check the number.", 0},
    [XT_PROBLEM_NUMBER_REPLACED] = {409, "number_replaced", "The number was replaced by another",
                                    "Số này đã được thay bằng số khác",
                                    "Use the person's present number.", 0},
    [XT_PROBLEM_NUMBER_CANCELLED] = {409, "number_cancelled", "The number is not in force",
                                     "Số này không còn hiệu lực",
                                     "The register has to put it in force first.", 0},
    [XT_PROBLEM_PERSON_DECEASED] = {409, "person_deceased", "The person has died",
                                    "Người này đã qua đời", "Only locks can be changed.", 0},
    [XT_PROBLEM_PERSON_MISSING] = {409, "person_missing", "The person is missing",
                                   "Người này đang mất tích",
                                   "The register has to say otherwise first.", 0},
    [XT_PROBLEM_NO_ACCOUNT] = {409, "no_account", "The person has no account",
                               "Người này chưa có tài khoản", "Activate it first.", 0},
    [XT_PROBLEM_ALREADY_ACTIVE] = {409, "already_active",
                                   "The account has this level or a higher one",
                                   "Tài khoản đã ở mức này hoặc cao hơn", "Nothing is to be done.",
                                   0},
    [XT_PROBLEM_ALREADY_LOCKED] = {409, "already_locked", "The account is locked for this reason",
                                   "Tài khoản đã bị khóa vì lý do này", "Nothing is to be done.",
                                   0},
    [XT_PROBLEM_NOT_LOCKED] = {409, "not_locked", "The account is not locked for this reason",
                               "Tài khoản không bị khóa vì lý do này", "Nothing is to be done.", 0},
    [XT_PROBLEM_DEVICE_KNOWN] = {409, "device_known", "The account has a device of this id or key",
                                 "Tài khoản đã có thiết bị hoặc khóa này",
                                 "Remove it first, or use another key.", 0},
    [XT_PROBLEM_DEVICE_UNKNOWN] = {409, "device_unknown", "The account has no such device",
                                   "Tài khoản không có thiết bị này", "Check the device_id.", 0},
    [XT_PROBLEM_TOO_MANY] = {409, "too_many", "The account has as many as it may have",
                             "Tài khoản đã đạt số lượng tối đa", "Remove one first.", 0},
    [XT_PROBLEM_CONSENT_UNKNOWN] = {409, "consent_unknown", "The person has no such consent",
                                    "Người này không có sự đồng ý như vậy",
                                    "List the person's consents.", 0},
    [XT_PROBLEM_LENGTH_REQUIRED] = {411, "length_required", "The request needs a body",
                                    "Yêu cầu phải có nội dung",
                                    "Send Content-Length or Transfer-Encoding: chunked.", 0},
    [XT_PROBLEM_BODY_TOO_LARGE] = {413, "body_too_large", "The request body is too large",
                                   "Nội dung yêu cầu quá lớn",
                                   "Send less; the operator's limits.body_bytes says how much.", 0},
    [XT_PROBLEM_TARGET_TOO_LONG] = {414, "target_too_long", "The request target is too long",
                                    "Địa chỉ yêu cầu quá dài",
                                    "Targets here are short; data goes in the body.", 0},
    [XT_PROBLEM_UNSUPPORTED_MEDIA_TYPE] =
        {415, "unsupported_media_type", "The body is not of the type that is taken here, in UTF-8",
         "Nội dung không đúng kiểu ở đây (mã UTF-8)",
         "Send the Content-Type of /openapi.json and no Content-Encoding.", 0},
    [XT_PROBLEM_EXPECTATION_FAILED] = {417, "expectation_failed", "The expectation cannot be met",
                                       "Không đáp ứng được yêu cầu Expect",
                                       "Only Expect: 100-continue is known.", 0},
    [XT_PROBLEM_RATE_EXCEEDED] = {429, "rate_exceeded", "The partner's rate is used up",
                                  "Đối tác đã vượt tốc độ cho phép",
                                  "Wait for as long as Retry-After says.", 1},
    [XT_PROBLEM_QUOTA_EXCEEDED] = {429, "quota_exceeded", "The partner's daily quota is used up",
                                   "Đối tác đã dùng hết hạn mức trong ngày",
                                   "Numbers asked about today may be asked again; others tomorrow, "
                                   "or when the operator raises the quota.",
                                   3600},
    [XT_PROBLEM_HEADER_TOO_LARGE] = {431, "header_too_large", "The header is too large",
                                     "Phần đầu yêu cầu quá lớn",
                                     "Send fewer or shorter header fields.", 0},
    [XT_PROBLEM_INTERNAL] = {500, "internal", "The server failed", "Máy chủ gặp lỗi",
                             "Try again; tell the operator the answer_id if it stays.", 0},
    [XT_PROBLEM_NOT_IMPLEMENTED] = {501, "not_implemented",
                                    "The method or transfer coding is not implemented",
                                    "Phương thức hoặc kiểu truyền chưa được hỗ trợ",
                                    "Use the methods of /openapi.json and no coding but chunked.",
                                    0},
    [XT_PROBLEM_NOT_READY] = {503, "not_ready", "The register is not loaded yet",
                              "Dữ liệu chưa sẵn sàng", "Try again later.", 5},
    [XT_PROBLEM_RECORD_DAMAGED] = {503, "record_damaged", "The register cannot be read",
                                   "Không đọc được dữ liệu",
                                   "Try again later; tell the operator the answer_id.", 30},
    [XT_PROBLEM_OUTCOME_UNKNOWN] = {503, "outcome_unknown", "It is not known whether this was done",
                                    "Chưa biết yêu cầu đã được thực hiện hay chưa",
                                    "Ask for the state, or send it again where that does no harm.",
                                    1},
    [XT_PROBLEM_NOT_LOGGED] = {503, "not_logged", "The audit log cannot be written",
                               "Không ghi được nhật ký", "Try again later.", 5},
    [XT_PROBLEM_OVERLOADED] = {503, "overloaded", "The server has more to do than it can",
                               "Máy chủ đang quá tải", "Try again later.", 1},
    [XT_PROBLEM_VERSION_NOT_SUPPORTED] = {505, "version_not_supported",
                                          "Only HTTP/1.1 and HTTP/1.0 are spoken here",
                                          "Chỉ hỗ trợ HTTP/1.1 và HTTP/1.0",
                                          "Send HTTP/1.1 requests.", 0},
};

const struct xt_problem_text *xt_problem_text(enum xt_problem problem)
{
    xt_require((unsigned)problem < XT_PROBLEM_COUNT);
    return &problems[problem];
}

enum xt_problem xt_problem_of_status(enum xt_status status)
{
    switch (status) {
    case XT_INVALID:
        return XT_PROBLEM_INVALID_REQUEST;
    case XT_TOO_LARGE:
        return XT_PROBLEM_BODY_TOO_LARGE;
    case XT_CORRUPT:
    case XT_UNSUPPORTED:
    case XT_IO:
        return XT_PROBLEM_RECORD_DAMAGED;
    case XT_BUSY:
    case XT_AGAIN:
    case XT_NO_MEMORY:
    case XT_DISK_FULL:
        return XT_PROBLEM_OVERLOADED;
    case XT_OK:
    case XT_NOT_FOUND:
    case XT_NO_SPACE:
    case XT_EXISTS:
    case XT_DENIED:
    case XT_CLOSED:
        break;
    }
    return XT_PROBLEM_INTERNAL;
}

enum xt_problem xt_problem_of_conflict(enum xt_conflict conflict)
{
    static const enum xt_problem problems_of[XT_CONFLICT_COUNT] = {
        [XT_CONFLICT_UNKNOWN_PERSON] = XT_PROBLEM_UNKNOWN_PERSON,
        [XT_CONFLICT_NUMBER_REPLACED] = XT_PROBLEM_NUMBER_REPLACED,
        [XT_CONFLICT_NUMBER_CANCELLED] = XT_PROBLEM_NUMBER_CANCELLED,
        [XT_CONFLICT_PERSON_DECEASED] = XT_PROBLEM_PERSON_DECEASED,
        [XT_CONFLICT_PERSON_MISSING] = XT_PROBLEM_PERSON_MISSING,
        [XT_CONFLICT_NO_ACCOUNT] = XT_PROBLEM_NO_ACCOUNT,
        [XT_CONFLICT_ALREADY_ACTIVE] = XT_PROBLEM_ALREADY_ACTIVE,
        [XT_CONFLICT_ALREADY_LOCKED] = XT_PROBLEM_ALREADY_LOCKED,
        [XT_CONFLICT_NOT_LOCKED] = XT_PROBLEM_NOT_LOCKED,
        [XT_CONFLICT_DEVICE_KNOWN] = XT_PROBLEM_DEVICE_KNOWN,
        [XT_CONFLICT_DEVICE_UNKNOWN] = XT_PROBLEM_DEVICE_UNKNOWN,
        [XT_CONFLICT_TOO_MANY] = XT_PROBLEM_TOO_MANY,
        [XT_CONFLICT_CONSENT_UNKNOWN] = XT_PROBLEM_CONSENT_UNKNOWN,
    };
    enum xt_problem problem =
        (unsigned)conflict < XT_CONFLICT_COUNT ? problems_of[conflict] : XT_PROBLEM_NONE;
    return problem == XT_PROBLEM_NONE ? XT_PROBLEM_INTERNAL : problem;
}

enum xt_problem xt_problem_of_decision(enum xt_decision decision)
{
    switch (decision) {
    case XT_ALLOW:
        return XT_PROBLEM_NONE;
    case XT_DENY_PARTNER_INACTIVE:
        return XT_PROBLEM_PARTNER_INACTIVE;
    case XT_DENY_NETWORK:
        return XT_PROBLEM_NETWORK_NOT_PERMITTED;
    case XT_DENY_PURPOSE:
        return XT_PROBLEM_PURPOSE_NOT_PERMITTED;
    case XT_DENY_CLAIM:
        return XT_PROBLEM_CLAIM_NOT_PERMITTED;
    case XT_DENY_NAME_LEVEL:
        return XT_PROBLEM_NAME_LEVEL_NOT_PERMITTED;
    case XT_DENY_LEGAL_BASIS_MISSING:
        return XT_PROBLEM_LEGAL_BASIS_MISSING;
    case XT_DENY_CONSENT_MISSING:
        return XT_PROBLEM_CONSENT_MISSING;
    case XT_DENY_CLAIM_MISSING:
        return XT_PROBLEM_CLAIM_MISSING;
    case XT_DENY_ATTRIBUTE:
        return XT_PROBLEM_ATTRIBUTE_NOT_PERMITTED;
    case XT_DENY_RIGHT:
        return XT_PROBLEM_ENDPOINT_NOT_PERMITTED;
    }
    return XT_PROBLEM_INTERNAL;
}

void xt_problem_to_json(enum xt_problem problem, bool vietnamese,
                        const char answer_id[XT_ANSWER_ID], const struct xt_request_errors *errors,
                        struct xt_writer *writer)
{
    const struct xt_problem_text *text = xt_problem_text(problem);
    char status[3] = {(char)('0' + text->status / 100), (char)('0' + text->status / 10 % 10),
                      (char)('0' + text->status % 10)};
    xt_write_literal(writer, "{\"type\":\"" URN);
    xt_write_string(writer, text->code);
    xt_write_literal(writer, "\",\"title\":");
    xt_json_write_string(writer, xt_span_of_string(vietnamese ? text->title_vi : text->title));
    xt_write_literal(writer, ",\"status\":");
    xt_write(writer, status, sizeof(status));
    xt_write_literal(writer, ",\"code\":\"");
    xt_write_string(writer, text->code);
    xt_write_literal(writer, "\",\"detail\":");
    xt_json_write_string(writer, xt_span_of_string(text->detail));
    xt_write_literal(writer, ",\"answer_id\":\"");
    xt_write(writer, answer_id, XT_ANSWER_ID);
    xt_write_byte(writer, '"');
    if (errors != NULL && errors->count > 0) {
        xt_write_literal(writer, ",\"errors\":[");
        for (unsigned i = 0; i < errors->count; i++) {
            xt_write_string(writer, i == 0 ? "{\"pointer\":" : ",{\"pointer\":");
            xt_json_write_string(writer, xt_span_of_string(errors->list[i].pointer));
            xt_write_literal(writer, ",\"code\":\"");
            xt_write_string(writer, errors->list[i].code);
            xt_write_literal(writer, "\"}");
        }
        xt_write_byte(writer, ']');
    }
    xt_write_byte(writer, '}');
}

static struct xt_span trim(struct xt_span text)
{
    while (text.size > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text = xt_span_of(text.data + 1, text.size - 1);
    }
    while (text.size > 0 && (text.data[text.size - 1] == ' ' || text.data[text.size - 1] == '\t')) {
        text.size--;
    }
    return text;
}

/* The part before the next `separator`; *rest is what follows it. */
static struct xt_span next_part(struct xt_span *rest, char separator)
{
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, separator, rest->size) : NULL;
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    struct xt_span part = xt_span_of(rest->data, size);
    size_t skip = end == NULL ? size : size + 1;
    *rest = xt_span_of(rest->data + skip, rest->size - skip);
    return trim(part);
}

/* qvalue (RFC 9110 section 12.4.2) in thousandths; what is malformed counts as 0. */
static unsigned quality(struct xt_span parameters)
{
    while (parameters.size > 0) {
        struct xt_span part = next_part(&parameters, ';');
        if (part.size < 3 || (part.data[0] | 0x20) != 'q' || part.data[1] != '=') {
            continue;
        }
        unsigned value = part.data[2] == '1' ? 1000 : 0, scale = 100;
        for (size_t i = 4; i < part.size && i < 7 && value < 1000; i++, scale /= 10) {
            value += (part.data[i] >= '0' && part.data[i] <= '9' ? part.data[i] - 48U : 0U) * scale;
        }
        return value;
    }
    return 1000;
}

static bool has_prefix_tag(struct xt_span range, const char *language)
{
    return range.size >= 2 && strncasecmp((const char *)range.data, language, 2) == 0 &&
           (range.size == 2 || range.data[2] == '-');
}

bool xt_prefers_vietnamese(struct xt_span accept_language)
{
    unsigned vietnamese = 0, english = 0;
    bool vietnamese_first = false;
    while (accept_language.size > 0) {
        struct xt_span parameters = next_part(&accept_language, ',');
        struct xt_span range = next_part(&parameters, ';');
        unsigned weight = quality(parameters);
        if (has_prefix_tag(range, "vi") && weight > vietnamese) {
            vietnamese = weight;
            vietnamese_first = english == 0;
        } else if (has_prefix_tag(range, "en") && weight > english) {
            english = weight;
        }
    }
    return vietnamese > english || (vietnamese == english && vietnamese > 0 && vietnamese_first);
}
