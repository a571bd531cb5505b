#include "tests/test.h"

#include "core/policy.h"
#include "core/province.h"
#include "core/request_read.h"
#include "tests/core/mutate.h"
#include "tests/core/same_request.h"

static uint8_t arena_memory[XT_VERIFY_ARENA];
static const struct xt_json_arena arena = {arena_memory, sizeof arena_memory};
static uint8_t body[XT_VERIFY_BODY_MAX + 64];

static enum xt_status parse_bytes(const void *text, size_t size, struct xt_verify_request *request,
                                  struct xt_request_errors *errors)
{
    memcpy(body, text, size);
    memset(body + size, 0, 4);
    return xt_verify_request_from_json(body, size, arena, request, errors);
}

static enum xt_status parse(const char *text, struct xt_verify_request *request,
                            struct xt_request_errors *errors)
{
    return parse_bytes(text, strlen(text), request, errors);
}

static void assert_span(struct xt_span span, const char *text)
{
    assert_int_equal(span.size, strlen(text));
    assert_memory_equal(span.data, text, span.size);
}

#define DATE(year, month, day) ((xt_date)((year) << 9 | (month) << 5 | (day)))

static const char FULL[] =
    "{\"txn\":\"t \\\"1\\\"\",\"id\":\"001099012345\",\"purpose\":\"sim.register\","
    "\"legal_basis\":\"consent\",\"consent_ref\":\"c-1\",\"claims\":{\"full_name\":\"NGUYEN VAN "
    "AN\","
    "\"date_of_birth\":\"1999-01-25\",\"sex\":\"male\",\"phone\":\"0912345678\",\"card_issued_on\":"
    "\"2021-04-25\",\"card_expires_on\":\"2039\",\"old_id\":\"012345678\",\"province\":\"001\","
    "\"health_insurance\":\"a1\",\"social_insurance\":\"b1\",\"driving_licence\":\"c1\","
    "\"vehicle\":"
    "\"d-1\",\"passport\":\"e1\",\"tax\":\"f1\"},\"match\":{\"full_name\":\"fuzzy\"}}";

static void every_member_of_the_contract_is_read(void **state)
{
    (void)state;
    struct xt_verify_request r;
    struct xt_request_errors errors;
    assert_int_equal(parse(FULL, &r, &errors), XT_OK);
    assert_int_equal(errors.count, 0);
    assert_true(r.has_txn);
    assert_span(r.txn, "t \"1\"");
    assert_int_equal(r.id.kind, XT_ID_PERSONAL);
    assert_true(r.id.value == 1099012345);
    assert_false(r.from_qr);
    assert_span(r.purpose, "sim.register");
    assert_span(r.legal_basis, "consent");
    assert_span(r.consent_ref, "c-1");
    assert_int_equal(r.claims.asked, XT_CLAIM_ALL);
    assert_int_equal(r.claims.name_level, XT_NAME_FUZZY);
    struct xt_name name;
    assert_int_equal(xt_name_parse(xt_span_of_string("Nguyen Van An"), &name), XT_OK);
    assert_true(xt_name_matches(&r.claims.full_name, &name, XT_NAME_EXACT));
    assert_int_equal(r.claims.date_of_birth, DATE(1999, 1, 25));
    assert_int_equal(r.claims.sex, XT_SEX_MALE);
    assert_int_equal(r.claims.phone, 912345678);
    assert_int_equal(r.claims.card_issued_on, DATE(2021, 4, 25));
    assert_int_equal(r.claims.card_expires_on, DATE(2039, 0, 0));
    assert_int_equal(r.claims.old_id.kind, XT_ID_CMND);
    assert_true(r.claims.old_id.value == 12345678);
    assert_int_equal(r.claims.province, xt_province_index(1));
    for (unsigned i = 0; i < XT_LINK_TYPE_COUNT; i++) {
        assert_int_equal(r.claims.documents[i].length, 2);
        assert_int_equal(r.claims.documents[i].text[0], 'A' + (int)i);
    }
}

#define MINIMAL "\"id\":\"001099012345\",\"purpose\":\"p\",\"claims\":{\"sex\":\"female\"}"

static void absent_members_have_their_defaults(void **state)
{
    (void)state;
    struct xt_verify_request r;
    struct xt_request_errors errors;
    memset(&r, 0xa5, sizeof r);
    assert_int_equal(parse("{" MINIMAL "}", &r, &errors), XT_OK);
    assert_false(r.has_txn);
    assert_false(r.from_qr);
    assert_int_equal(r.legal_basis.size, 0);
    assert_int_equal(r.consent_ref.size, 0);
    assert_int_equal(r.claims.asked, XT_CLAIM_BIT(XT_CLAIM_SEX));
    assert_int_equal(r.claims.sex, XT_SEX_FEMALE);
    assert_int_equal(r.claims.name_level, XT_NAME_SPELLING);
    assert_int_equal(parse("{" MINIMAL ",\"match\":{}}", &r, &errors), XT_OK);
    assert_int_equal(r.claims.name_level, XT_NAME_SPELLING);
    assert_int_equal(parse("{" MINIMAL ",\"match\":{\"full_name\":\"exact\"}}", &r, &errors),
                     XT_OK);
    assert_int_equal(r.claims.name_level, XT_NAME_EXACT);
}

#define QR "001099012345|012345678|Nguyễn Văn An|25011999|Nam|Số 10 Tràng Thi|25042021"

static void a_card_qr_asks_for_all_it_tells(void **state)
{
    (void)state;
    struct xt_verify_request r;
    struct xt_request_errors errors;
    assert_int_equal(parse("{\"qr\":\"" QR "\\r\\n\",\"purpose\":\"p\"}", &r, &errors), XT_OK);
    assert_true(r.from_qr);
    assert_true(r.id.value == 1099012345);
    assert_int_equal(r.id.kind, XT_ID_PERSONAL);
    assert_int_equal(r.claims.asked,
                     XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_DATE_OF_BIRTH) |
                         XT_CLAIM_BIT(XT_CLAIM_SEX) | XT_CLAIM_BIT(XT_CLAIM_CARD_ISSUED_ON) |
                         XT_CLAIM_BIT(XT_CLAIM_OLD_ID));
    assert_int_equal(r.claims.date_of_birth, DATE(1999, 1, 25));
    assert_int_equal(r.claims.card_issued_on, DATE(2021, 4, 25));
    assert_int_equal(r.claims.old_id.kind, XT_ID_CMND);
    assert_true(r.claims.old_id.value == 12345678);
    assert_int_equal(parse("{\"qr\":\"001099012345||Nguyễn Văn An|25011999|Nữ|x|25042021|more\","
                           "\"purpose\":\"p\",\"match\":{\"full_name\":\"exact\"}}",
                           &r, &errors),
                     XT_OK);
    assert_int_equal(r.claims.asked & XT_CLAIM_BIT(XT_CLAIM_OLD_ID), 0);
    assert_int_equal(r.claims.sex, XT_SEX_FEMALE);
    assert_int_equal(r.claims.name_level, XT_NAME_EXACT);
}

#define REST "\"purpose\":\"p\",\"claims\":{\"sex\":\"female\"}"
#define WITH(member) "{" MINIMAL "," member "}"
#define CLAIM(member) "{\"id\":\"001099012345\",\"purpose\":\"p\",\"claims\":{" member "}}"
#define P5(text) text text text text text
#define P25(text) P5(P5(text))
#define P65(text) P25(text) P25(text) P5(text) P5(text) P5(text)

static const struct {
    const char *body, *code, *pointer;
} ERRORS[] = {
    {"", "malformed_json", ""},
    {" ", "malformed_json", ""},
    {"{" MINIMAL, "malformed_json", ""},
    {"{" MINIMAL "}{}", "malformed_json", ""},
    {"{" MINIMAL "}x", "malformed_json", ""},
    {"{" MINIMAL ",}", "malformed_json", ""},
    {WITH("\"txn\":\"\xff\""), "malformed_json", ""},
    {WITH("\"txn\":\"\xc0\xaf\""), "malformed_json", ""},
    {WITH("\"txn\":\"\\udc00\""), "malformed_json", ""},
    {WITH("\"txn\":\"a\nb\""), "malformed_json", ""},
    {"[{" MINIMAL "}]", "not_an_object", ""},
    {"\"x\"", "not_an_object", ""},
    {WITH("\"secret\":1"), "unknown_member", ""},
    {WITH("\"ID\":\"001099012345\""), "unknown_member", ""},
    {CLAIM("\"sex\":\"male\",\"name\":\"x\""), "unknown_member", "/claims"},
    {WITH("\"match\":{\"sex\":\"exact\"}"), "unknown_member", "/match"},
    {WITH("\"purpose\":\"p\""), "duplicate_member", "/purpose"},
    {WITH("\"id\":\"001099012345\""), "duplicate_member", "/id"},
    {CLAIM("\"sex\":\"male\",\"sex\":\"male\""), "duplicate_member", "/claims/sex"},
    {WITH("\"match\":{\"full_name\":\"exact\",\"full_name\":\"exact\"}"), "duplicate_member",
     "/match/full_name"},
    {"{" REST "}", "missing_member", "/id"},
    {"{\"id\":\"001099012345\",\"claims\":{\"sex\":\"male\"}}", "missing_member", "/purpose"},
    {"{\"id\":\"001099012345\",\"purpose\":\"p\"}", "missing_member", "/claims"},
    {CLAIM(""), "missing_member", "/claims"},
    {"{\"qr\":\"" QR "\"}", "missing_member", "/purpose"},
    {"{\"id\":1099012345," REST "}", "wrong_type", "/id"},
    {"{\"id\":null," REST "}", "wrong_type", "/id"},
    {WITH("\"txn\":7"), "wrong_type", "/txn"},
    {WITH("\"match\":\"exact\""), "wrong_type", "/match"},
    {WITH("\"match\":{\"full_name\":1}"), "wrong_type", "/match/full_name"},
    {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"claims\":[]}", "wrong_type", "/claims"},
    {"{\"id\":\"001099012345\",\"purpose\":\"p\",\"claims\":null}", "wrong_type", "/claims"},
    {CLAIM("\"sex\":true"), "wrong_type", "/claims/sex"},
    {CLAIM("\"phone\":912345678"), "wrong_type", "/claims/phone"},
    {CLAIM("\"full_name\":{\"a\":[[[[[[[[[[[[1]]]]]]]]]]]]}"), "wrong_type", "/claims/full_name"},
    {"{\"id\":\"\"," REST "}", "empty", "/id"},
    {WITH("\"txn\":\"\""), "empty", "/txn"},
    {WITH("\"legal_basis\":\"\""), "empty", "/legal_basis"},
    {WITH("\"consent_ref\":\"\""), "empty", "/consent_ref"},
    {WITH("\"match\":{\"full_name\":\"\"}"), "empty", "/match/full_name"},
    {CLAIM("\"tax\":\"\""), "empty", "/claims/tax"},
    {CLAIM("\"full_name\":\"\""), "empty", "/claims/full_name"},
    {WITH("\"txn\":\"" P65("x") "\""), "too_long", "/txn"},
    {WITH("\"txn\":\"" P65("ễ") "\""), "too_long", "/txn"},
    {WITH("\"legal_basis\":\"" P65("x") "\""), "too_long", "/legal_basis"},
    {WITH("\"consent_ref\":\"" P65("xx") "\""), "too_long", "/consent_ref"},
    {CLAIM("\"full_name\":\"" P65("An Le An ") "\""), "too_long", "/claims/full_name"},
    {WITH("\"txn\":\"a\\u0000\""), "control_character", "/txn"},
    {WITH("\"txn\":\"a\\n\""), "control_character", "/txn"},
    {WITH("\"txn\":\"a\\u0085\""), "control_character", "/txn"},
    {WITH("\"legal_basis\":\"a\\u001f\""), "control_character", "/legal_basis"},
    {WITH("\"consent_ref\":\"a\\u007f\""), "control_character", "/consent_ref"},
    {"{\"id\":\"0010990123456\"," REST "}", "bad_id", "/id"},
    {"{\"id\":\"00109901\"," REST "}", "bad_id", "/id"},
    {"{\"id\":\"001099012345\\u0000\"," REST "}", "bad_id", "/id"},
    {"{\"id\":\" 01099012345\"," REST "}", "bad_id", "/id"},
    {CLAIM("\"old_id\":\"1234\""), "bad_id", "/claims/old_id"},
    {CLAIM("\"old_id\":\"001099012345\""), "bad_id", "/claims/old_id"},
    {CLAIM("\"full_name\":\"Nguyễn Văn 7\""), "bad_name", "/claims/full_name"},
    {CLAIM("\"full_name\":\"An\\u0000\""), "bad_name", "/claims/full_name"},
    {CLAIM("\"date_of_birth\":\"2023-02-30\""), "bad_date", "/claims/date_of_birth"},
    {CLAIM("\"date_of_birth\":\"25/01/1999\""), "bad_date", "/claims/date_of_birth"},
    {CLAIM("\"card_issued_on\":\"2021-4-5\""), "bad_date", "/claims/card_issued_on"},
    {CLAIM("\"card_expires_on\":\"x\""), "bad_date", "/claims/card_expires_on"},
    {CLAIM("\"phone\":\"0112345678\""), "bad_phone", "/claims/phone"},
    {CLAIM("\"vehicle\":\"29A*1\""), "bad_document", "/claims/vehicle"},
    {CLAIM("\"passport\":\"A\\u00001\""), "bad_document", "/claims/passport"},
    {CLAIM("\"sex\":\"Nam\""), "bad_value", "/claims/sex"},
    {CLAIM("\"province\":\"1\""), "bad_value", "/claims/province"},
    {WITH("\"match\":{\"full_name\":\"different\"}"), "bad_value", "/match/full_name"},
    {WITH("\"match\":{\"full_name\":\"Exact\"}"), "bad_value", "/match/full_name"},
    {"{\"id\":\"001099012345\",\"purpose\":\"Sim\",\"claims\":{\"sex\":\"male\"}}", "bad_purpose",
     "/purpose"},
    {"{\"qr\":\"001099012345|012345678|Nguyễn Văn An|25011999|Nam|x\",\"purpose\":\"p\"}", "bad_qr",
     "/qr"},
    {"{\"qr\":\"" QR "|\\u0000\",\"purpose\":\"p\"}", "bad_qr", "/qr"},
    {"{\"qr\":\"" QR "\",\"id\":\"001099012345\",\"purpose\":\"p\"}", "conflict", "/qr"},
    {"{\"qr\":\"" QR "\",\"claims\":{\"sex\":\"male\"},\"purpose\":\"p\"}", "conflict", "/qr"},
    {"{\"qr\":\"\",\"purpose\":\"p\"}", "empty", "/qr"},
};

static void every_fault_has_its_code_and_pointer(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        struct xt_verify_request request;
        struct xt_request_errors errors = {0};
        enum xt_status status = parse(ERRORS[i].body, &request, &errors);
        if (status != XT_INVALID || errors.count != 1 ||
            strcmp(errors.list[0].code, ERRORS[i].code) != 0 ||
            strcmp(errors.list[0].pointer, ERRORS[i].pointer) != 0) {
            fail_msg("%s: %u findings, %s at \"%s\"", ERRORS[i].body, errors.count,
                     errors.list[0].code, errors.list[0].pointer);
        }
    }
}

static void all_faults_are_told_at_once(void **state)
{
    (void)state;
    struct xt_verify_request request;
    struct xt_request_errors errors;
    assert_int_equal(
        parse("{\"id\":\"1\",\"x\":1,\"claims\":{\"sex\":\"m\",\"tax\":\"1\",\"y\":1}}", &request,
              &errors),
        XT_INVALID);
    static const struct xt_request_error WANTED[] = {{"/id", "bad_id"},
                                                     {"", "unknown_member"},
                                                     {"/claims/sex", "bad_value"},
                                                     {"/claims", "unknown_member"},
                                                     {"/purpose", "missing_member"}};
    assert_int_equal(errors.count, 5);
    for (unsigned i = 0; i < errors.count; i++) {
        assert_string_equal(errors.list[i].pointer, WANTED[i].pointer);
        assert_string_equal(errors.list[i].code, WANTED[i].code);
    }
    char many[2048] = "{\"x\":1";
    for (unsigned i = 0; i < 100; i++) {
        strcat(many, ",\"x\":1");
    }
    strcat(many, "}");
    assert_int_equal(parse(many, &request, &errors), XT_INVALID);
    assert_int_equal(errors.count, XT_REQUEST_ERRORS_MAX);
}

static void a_txn_of_64_characters_of_any_size_is_taken(void **state)
{
    (void)state;
    char text[1024] = "{" MINIMAL ",\"txn\":\"";
    struct xt_verify_request request;
    struct xt_request_errors errors;
    for (unsigned i = 0; i < 64; i++) {
        strcat(text, "\xf0\x9f\x98\x80");
    }
    strcat(text, "\"}");
    assert_int_equal(parse(text, &request, &errors), XT_OK);
    assert_int_equal(request.txn.size, XT_TXN_BYTES);
}

static void a_body_of_any_allowed_shape_fits_the_arena(void **state)
{
    (void)state;
    struct xt_verify_request request;
    struct xt_request_errors errors;
    static char text[XT_VERIFY_BODY_MAX + 1];
    memset(text, '[', sizeof text);
    assert_int_equal(parse_bytes(text, XT_VERIFY_BODY_MAX, &request, &errors), XT_INVALID);
    assert_string_equal(errors.list[0].code, "malformed_json");
    for (size_t i = 1; i + 1 < XT_VERIFY_BODY_MAX; i += 2) {
        text[i] = '1';
        text[i + 1] = ',';
    }
    text[XT_VERIFY_BODY_MAX - 2] = '1';
    text[XT_VERIFY_BODY_MAX - 1] = ']';
    assert_int_equal(parse_bytes(text, XT_VERIFY_BODY_MAX, &request, &errors), XT_INVALID);
    assert_string_equal(errors.list[0].code, "not_an_object");
    assert_int_equal(parse_bytes(text, XT_VERIFY_BODY_MAX + 1, &request, &errors), XT_INVALID);
    assert_string_equal(errors.list[0].code, "too_long");
}

static const char COMMON[] =
    "{\"txn\":\"3f0c\", \"id\":\"001099012345\",\"purpose\": \"sim.register\","
    "\"legal_basis\":\"consent\",\"consent_ref\":\"c-1\",\"claims\":{\"full_name\":"
    "\"Nguy\xe1\xbb\x85n "
    "V\xc4\x83n An\",\"date_of_birth\":\"1999-01-25\",\"sex\":\"male\",\"phone\":\"0912345678\","
    "\"card_issued_on\":\"2021-04-25\",\"card_expires_on\":\"2039\",\"old_id\":\"012345678\","
    "\"province\":\"001\",\"health_insurance\":\"a1\",\"social_insurance\":\"b1\","
    "\"driving_licence\":\"c1\",\"vehicle\":\"d-1\",\"passport\":\"e1\",\"tax\":\"f1\"} } ";

/* What the quick reader takes the other one takes, as the same; most of what is sound it takes. */
static void both_readers_give_the_same(void **state)
{
    (void)state;
    uint64_t random = 9;
    unsigned plain = 0, sound = 0;
    for (unsigned i = 0; i < 300000; i++) {
        uint8_t text[sizeof COMMON + 64];
        struct xt_verify_request quick, full;
        struct xt_request_errors errors;
        memcpy(text, COMMON, sizeof COMMON - 1);
        size_t size =
            i == 0 ? sizeof COMMON - 1 : mutate(text, sizeof COMMON - 1, sizeof text - 4, &random);
        uint8_t *exact = malloc(size); /* nothing behind it may be read */
        assert_non_null(exact);
        memcpy(exact, text, size);
        bool taken = xt_verify_request_read_plain(exact, size, &quick);
        assert_memory_equal(exact, text, size);
        memset(text + size, 0, 4);
        bool valid = xt_verify_request_read_any(text, size, arena, &full, &errors) == XT_OK;
        assert_true(!taken || (valid && same_request(&quick, &full)));
        assert_true(taken || i > 0);
        plain += taken;
        sound += valid;
        free(exact);
    }
    assert_true(sound > 1000 && plain > sound / 2);
}

/* Bodies in memory of just their size and the padding; whatever is accepted is in bounds. */
static void damaged_bodies_are_refused_without_harm(void **state)
{
    (void)state;
    uint64_t random = 4;
    unsigned accepted = 0;
    enum { ROUNDS = 300000 };
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint8_t text[sizeof FULL + 64];
        memcpy(text, FULL, sizeof FULL - 1);
        size_t size = mutate(text, sizeof FULL - 1, sizeof text - 4, &random);
        uint8_t *exact = malloc(size + 4);
        memcpy(exact, text, size);
        memset(exact + size, 0, 4);
        struct xt_verify_request request;
        struct xt_request_errors errors;
        enum xt_status status = xt_verify_request_from_json(exact, size, arena, &request, &errors);
        if (status == XT_OK) {
            assert_int_equal(errors.count, 0);
            assert_true(request.claims.asked != 0 && request.claims.asked <= XT_CLAIM_ALL);
            assert_true(request.txn.size <= XT_TXN_BYTES);
            assert_true(request.purpose.size <= XT_PURPOSE_NAME_MAX);
            accepted++;
        } else {
            assert_int_equal(status, XT_INVALID);
            assert_true(errors.count > 0 && errors.count <= XT_REQUEST_ERRORS_MAX);
            for (unsigned j = 0; j < errors.count; j++) {
                assert_non_null(errors.list[j].code);
                assert_non_null(memchr(errors.list[j].pointer, '\0', 64));
            }
        }
        free(exact);
    }
    assert_true(accepted > 1000 && accepted < ROUNDS / 2);
}

static bool take(uint8_t *data, size_t size)
{
    struct xt_verify_request request;
    struct xt_request_errors errors;
    while (size > 0 && data[size - 1] == '\n') {
        data[--size] = '\0';
    }
    return xt_verify_request_from_json(data, size, arena, &request, &errors) == XT_OK;
}

static void the_corpus_of_requests_is_judged_as_before(void **state)
{
    (void)state;
    replay_corpus("verify_request", 4, take);
}

#define ID "01M7Q6B85T0410600000000000"
#define AT 1795251600123 /* 2026-11-21T09:00:00.123Z */
#define HEAD "\"answer_id\":\"" ID "\",\"answered_at\":\"2026-11-21T09:00:00.123Z\","

static void assert_answer(const struct xt_verify_request *request, const struct xt_outcome *outcome,
                          uint32_t rights, const char *wanted)
{
    uint8_t text[XT_VERIFY_ANSWER_MAX];
    struct xt_writer writer = xt_writer_over(text, sizeof text);
    xt_verify_answer_to_json(request, outcome, rights, ID, AT, &writer);
    assert_false(writer.overflow);
    if (!xt_span_is(xt_written(&writer), wanted)) {
        fail_msg("%.*s\nis not\n%s", (int)writer.size, (const char *)text, wanted);
    }
}

static void an_answer_tells_what_the_rights_allow(void **state)
{
    (void)state;
    struct xt_verify_request request = {
        .has_txn = true,
        .txn = xt_span_of_string("a\"b"),
        .claims = {.asked = XT_CLAIM_BIT(XT_CLAIM_FULL_NAME) | XT_CLAIM_BIT(XT_CLAIM_PHONE) |
                            XT_CLAIM_BIT(XT_CLAIM_TAX)},
    };
    struct xt_outcome outcome = {
        .verdict = XT_VERDICT_NOT_VERIFIED,
        .results = {[XT_CLAIM_PHONE] = XT_RESULT_MISMATCH, [XT_CLAIM_TAX] = XT_RESULT_NOT_HELD},
        .card = XT_CARD_ANSWER_LOST,
        .reason = XT_REASON_DECEASED,
        .has_name_advisory = true,
        .name_advisory = {.level = XT_NAME_FUZZY, .score = 87},
    };
#define TXN "{\"txn\":\"a\\\"b\","
    assert_answer(&request, &outcome, 0, TXN HEAD "\"verdict\":\"not_verified\"}");
    assert_answer(&request, &outcome, XT_RIGHT_PER_CLAIM,
                  TXN HEAD "\"verdict\":\"not_verified\",\"claims\":{\"full_name\":\"match\","
                           "\"phone\":\"mismatch\",\"tax\":\"mismatch\"}}");
    assert_answer(&request, &outcome, XT_RIGHT_CARD_STATE,
                  TXN HEAD "\"verdict\":\"not_verified\",\"card\":\"none\"}");
    assert_answer(&request, &outcome, XT_RIGHT_CARD_STATE | XT_RIGHT_PER_CLAIM,
                  TXN HEAD "\"verdict\":\"not_verified\",\"claims\":{\"full_name\":\"match\","
                           "\"phone\":\"mismatch\",\"tax\":\"mismatch\"},\"card\":\"lost\"}");
    assert_answer(&request, &outcome, XT_RIGHT_ADVISORY,
                  TXN HEAD "\"verdict\":\"not_verified\",\"advisory\":{\"full_name\":{\"level\":"
                           "\"fuzzy\",\"score\":87}}}");
    assert_answer(&request, &outcome, (1U << XT_RIGHT_COUNT) - 1,
                  TXN HEAD "\"verdict\":\"not_verified\",\"claims\":{\"full_name\":\"match\","
                           "\"phone\":\"mismatch\",\"tax\":\"not_held\"},\"card\":\"lost\","
                           "\"advisory\":{\"full_name\":{\"level\":\"fuzzy\",\"score\":87}},"
                           "\"reason\":\"deceased\"}");
    request.has_txn = false;
    outcome.verdict = XT_VERDICT_VERIFIED;
    outcome.card = XT_CARD_ANSWER_VALID;
    outcome.reason = XT_REASON_NONE;
    outcome.has_name_advisory = false;
    assert_answer(&request, &outcome, XT_RIGHT_CARD_STATE | XT_RIGHT_EXISTENCE | XT_RIGHT_ADVISORY,
                  "{" HEAD "\"verdict\":\"verified\",\"card\":\"valid\"}");
}

static void every_advisory_level_and_score_is_written(void **state)
{
    (void)state;
    static const struct {
        enum xt_name_level level;
        unsigned score;
        const char *wanted;
    } CASES[] = {
        {XT_NAME_EXACT, 100, "\"exact\",\"score\":100"},
        {XT_NAME_SPELLING, 100, "\"spelling\",\"score\":100"},
        {XT_NAME_UNACCENTED, 100, "\"unaccented\",\"score\":100"},
        {XT_NAME_REORDERED, 100, "\"reordered\",\"score\":100"},
        {XT_NAME_FUZZY, 80, "\"fuzzy\",\"score\":80"},
        {XT_NAME_FUZZY, 5, "\"fuzzy\",\"score\":5"},
        {XT_NAME_DIFFERENT, 0, "\"different\",\"score\":0"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct xt_verify_request request = {.has_txn = false};
        struct xt_outcome outcome = {.has_name_advisory = true,
                                     .name_advisory = {CASES[i].level, CASES[i].score}};
        char wanted[256];
        snprintf(wanted, sizeof wanted,
                 "{" HEAD "\"verdict\":\"verified\",\"advisory\":{\"full_name\":{\"level\":%s}}}",
                 CASES[i].wanted);
        assert_answer(&request, &outcome, XT_RIGHT_ADVISORY, wanted);
    }
}

static void the_largest_answer_fits(void **state)
{
    (void)state;
    uint8_t text[XT_VERIFY_ANSWER_MAX];
    uint8_t txn[XT_TXN_BYTES];
    static const char *const WORST[] = {"\"", "\xe2\x80\xa8", "\x7f", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < sizeof WORST / sizeof WORST[0]; i++) {
        size_t size = strlen(WORST[i]);
        for (unsigned j = 0; j < XT_TXN_MAX; j++) {
            memcpy(txn + j * size, WORST[i], size);
        }
        struct xt_verify_request request = {.has_txn = true,
                                            .txn = xt_span_of(txn, XT_TXN_MAX * size),
                                            .claims = {.asked = XT_CLAIM_ALL}};
        struct xt_outcome outcome = {.verdict = XT_VERDICT_NOT_VERIFIED,
                                     .card = XT_CARD_ANSWER_REVOKED,
                                     .reason = XT_REASON_CANCELLED,
                                     .has_name_advisory = true,
                                     .name_advisory = {XT_NAME_UNACCENTED, 100}};
        memset(outcome.results, XT_RESULT_NOT_HELD, sizeof outcome.results);
        struct xt_writer writer = xt_writer_over(text, sizeof text);
        xt_verify_answer_to_json(&request, &outcome, UINT32_MAX, ID, AT, &writer);
        assert_false(writer.overflow);
        writer = xt_writer_over(text, writer.size - 1);
        xt_verify_answer_to_json(&request, &outcome, UINT32_MAX, ID, AT, &writer);
        assert_true(writer.overflow);
    }
}

static void strings_are_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t size;
        const char *json;
    } CASES[] = {
#define STRING(text, json) {text, sizeof(text) - 1, "\"" json "\""}
        STRING("", ""),
        STRING("abc", "abc"),
        STRING("\"", "\\\""),
        STRING("a\"b\\c", "a\\\"b\\\\c"),
        STRING("\b\f\n\r\t", "\\b\\f\\n\\r\\t"),
        STRING("\0\x01\x1f\x7f", "\\u0000\\u0001\\u001f\\u007f"),
        STRING("Nguyễn", "Nguyễn"),
        STRING("a\xe2\x80\xa8\xe2\x80\xa9z", "a\\u2028\\u2029z"),
        STRING("\xe2\x80\xa7\xe2\x80\xaa", "\xe2\x80\xa7\xe2\x80\xaa"),
        STRING("/</script>", "/</script>"),
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        uint8_t json[128];
        struct xt_writer writer = xt_writer_over(json, sizeof json);
        xt_json_write_string(&writer, xt_span_of(CASES[i].text, CASES[i].size));
        if (!xt_span_is(xt_written(&writer), CASES[i].json)) {
            fail_msg("%.*s is not %s", (int)writer.size, (const char *)json, CASES[i].json);
        }
    }
}

static void answer_ids_sort_by_time(void **state)
{
    (void)state;
    static const uint8_t LOW[10] = {0};
    static const uint8_t HIGH[10] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
    char a[XT_ANSWER_ID];
    char b[XT_ANSWER_ID];
    xt_answer_id_make(0, LOW, a);
    assert_memory_equal(a, "00000000000000000000000000", XT_ANSWER_ID);
    xt_answer_id_make((1ULL << 48) - 1, HIGH, a);
    assert_memory_equal(a, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", XT_ANSWER_ID);
    /* the example of the ULID specification */
    static const uint8_t RANDOM[10] = {0xd6, 0x76, 0x4c, 0x61, 0xef, 0xb9, 0x93, 0x02, 0xbd, 0x5b};
    xt_answer_id_make(1469922850259, RANDOM, a);
    assert_memory_equal(a, "01ARZ3NDEKTSV4RRFFQ69G5FAV", 10);
    assert_memory_equal(a + 10, "TSV4RRFFQ69G5FAV", 16);
    for (uint64_t ms = AT - 1000; ms < AT; ms++) {
        xt_answer_id_make(ms, HIGH, a);
        xt_answer_id_make(ms + 1, LOW, b);
        assert_true(memcmp(a, b, XT_ANSWER_ID) < 0);
    }
}

static void times_are_utc_to_the_millisecond(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } CASES[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {AT, "2026-11-21T09:00:00.123Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {4102444799007, "2099-12-31T23:59:59.007Z"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        char text[XT_TIMESTAMP];
        xt_timestamp_format(CASES[i].ms, text);
        assert_memory_equal(text, CASES[i].text, XT_TIMESTAMP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_member_of_the_contract_is_read),
        cmocka_unit_test(absent_members_have_their_defaults),
        cmocka_unit_test(a_card_qr_asks_for_all_it_tells),
        cmocka_unit_test(every_fault_has_its_code_and_pointer),
        cmocka_unit_test(all_faults_are_told_at_once),
        cmocka_unit_test(a_txn_of_64_characters_of_any_size_is_taken),
        cmocka_unit_test(a_body_of_any_allowed_shape_fits_the_arena),
        cmocka_unit_test(damaged_bodies_are_refused_without_harm),
        cmocka_unit_test(the_corpus_of_requests_is_judged_as_before),
        cmocka_unit_test(an_answer_tells_what_the_rights_allow),
        cmocka_unit_test(every_advisory_level_and_score_is_written),
        cmocka_unit_test(the_largest_answer_fits),
        cmocka_unit_test(both_readers_give_the_same),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(answer_ids_sort_by_time),
        cmocka_unit_test(times_are_utc_to_the_millisecond),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
