#include "crypto/passcode.h"

#include <stdio.h>
#include <sys/resource.h>

#include "crypto/keyring.h"
#include "tests/test.h"

#define TEXT(literal) xt_span_of_string(literal)

/* Of the reference implementation's own tests (phc-winner-argon2, src/test.c), and one of libsodium with a
 * salt of 16 bytes; all of "password". */
#define REFERENCE                                                                                  \
    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
#define REFERENCE_64M                                                                              \
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

#define SODIUM                                                                                     \
    "$argon2id$v=19$m=1024,t=1,p=1$ctD02oLEWHAkqcnvKnq1GA$"                                        \
    "LddptpfQzXR4HYCyPGLJDHmKEVzWOGZkrvZ2m7QWaks"

static const struct xt_passcode_costs cheap = {64, 1};
static const uint8_t pepper[XT_PASSCODE_PEPPER] = {1, 2, 3};
static const uint8_t other_pepper[XT_PASSCODE_PEPPER] = {1, 2, 4};

static enum xt_status verify(const char *phc, const char *passcode, bool *outdated)
{
    return xt_passcode_verify(&cheap, pepper, TEXT(phc), TEXT(passcode), outdated);
}

/* NUL-terminated. */
static void hash(const struct xt_passcode_costs *costs, const char *passcode,
                 char phc[XT_PASSCODE_PHC_MAX + 1])
{
    size_t size = 0;
    assert_int_equal(xt_passcode_hash(costs, pepper, TEXT(passcode), phc, &size), XT_OK);
    phc[size] = '\0';
}

static void imported_hashes_verify_and_are_to_be_made_anew(void **state)
{
    (void)state;
    bool outdated = false;
    assert_int_equal(verify(REFERENCE, "password", &outdated), XT_OK);
    assert_true(outdated);
    assert_int_equal(verify(REFERENCE, "passwore", &outdated), XT_DENIED);
    assert_false(outdated);
    assert_int_equal(verify(REFERENCE_64M, "password", &outdated), XT_OK);
    assert_int_equal(verify(SODIUM, "password", &outdated), XT_OK);
    assert_true(outdated);
    assert_int_equal(verify(SODIUM, "password ", &outdated), XT_DENIED);
    assert_true(xt_passcode_is_supported(TEXT(REFERENCE)));
}

static void own_hash_verifies_only_with_its_pepper(void **state)
{
    (void)state;
    char phc[XT_PASSCODE_PHC_MAX + 1], again[XT_PASSCODE_PHC_MAX + 1];
    bool outdated = true;
    hash(&cheap, "246810", phc);
    hash(&cheap, "246810", again);
    assert_string_not_equal(phc, again); /* salted */
    assert_non_null(strstr(phc, "$argon2id$v=19$m=64,t=1,p=1,keyid="));
    assert_int_equal(verify(phc, "246810", &outdated), XT_OK);
    assert_false(outdated);
    assert_int_equal(verify(phc, "246811", &outdated), XT_DENIED);
    assert_int_equal(verify(phc, "", &outdated), XT_DENIED);
    assert_int_equal(xt_passcode_verify(&cheap, other_pepper, TEXT(phc), TEXT("246810"), &outdated),
                     XT_DENIED);
    assert_false(outdated);
}

/* The key id cannot be taken off to have the passcode itself compared. */
static void hash_without_its_key_id_is_another(void **state)
{
    (void)state;
    char phc[XT_PASSCODE_PHC_MAX + 1], without[XT_PASSCODE_PHC_MAX + 1];
    bool outdated;
    hash(&cheap, "246810", phc);
    char *id = strstr(phc, ",keyid=");
    assert_non_null(id);
    snprintf(without, sizeof(without), "%.*s%s", (int)(id - phc), phc, id + 13);
    assert_true(xt_passcode_is_supported(TEXT(without)));
    assert_int_equal(verify(without, "246810", &outdated), XT_DENIED);
}

static void raised_costs_ask_for_another_hash(void **state)
{
    (void)state;
    static const struct xt_passcode_costs costs[] = {{128, 1}, {64, 2}};
    char phc[XT_PASSCODE_PHC_MAX + 1];
    bool outdated = false;
    hash(&cheap, "246810", phc);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(
            xt_passcode_verify(&costs[i], pepper, TEXT(phc), TEXT("246810"), &outdated), XT_OK);
        assert_true(outdated);
        assert_int_equal(xt_passcode_verify(&costs[i], pepper, TEXT(phc), TEXT("1"), &outdated),
                         XT_DENIED);
        assert_false(outdated);
    }
    hash(&costs[0], "246810", phc);
    assert_int_equal(verify(phc, "246810", &outdated), XT_OK);
    assert_false(outdated); /* lower ones do not */
}

static void what_is_no_such_text_is_denied(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "$",
        "$argon2id$",
        "$argon2i$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=16$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=4$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=16$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=0256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=7,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=262145,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=262144,t=5,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=4294967552,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=0,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=1,keyid=$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=1,keyid=AAAAAAAA$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=1,data=AA$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXM$nf65EOgLrQMR/uIPnA4rEg",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ=$nf65EOgLrQMR/uIPnA4rEg",
        /* Costs of ours only: of an import an answer would take longer than a step. */
        "$argon2id$v=19$m=262144,t=3,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg",
        /* A salt that only the reference's own check takes, in a text that it does not. */
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHRzb21lc2FsdHNvbWU$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu"
        "9U1bMCHGi/6d/rkQ6AutAxH+4g+cDisSwXmHtMrJDC71TVswIcaL/g",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEg$",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$",
        "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ",
        "$argon2id$v=19$m=256,t=2,p=1,keyid=AAAA",
    };
    bool outdated = true;
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (verify(bad[i], "password", &outdated) != XT_DENIED || outdated ||
            xt_passcode_is_supported(TEXT(bad[i]))) {
            fail_msg("taken: %s", bad[i]);
        }
    }
}

static void every_changed_byte_of_a_hash_is_denied(void **state)
{
    (void)state;
    char phc[XT_PASSCODE_PHC_MAX + 1], changed[XT_PASSCODE_PHC_MAX + 1];
    bool outdated;
    hash(&cheap, "246810", phc);
    for (size_t at = 0; phc[at] != '\0'; at++) {
        if (at >= strlen("$argon2id$v=19$m=64,t=") && at < strlen("$argon2id$v=19$m=64,t=1")) {
            continue; /* more passes are another's hash as well, and take long */
        }
        memcpy(changed, phc, sizeof(phc));
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        assert_int_equal(verify(changed, "246810", &outdated), XT_DENIED);
        memcpy(changed, phc, sizeof(phc));
        changed[at] = '\0';
        assert_int_equal(verify(changed, "246810", &outdated), XT_DENIED);
    }
}

/* Where the address space has no room for it. */
static void no_memory_is_no_answer(void **state)
{
    (void)state;
    static const struct xt_passcode_costs large = {XT_PASSCODE_MEMORY_MOST_KIB, 1};
    char phc[XT_PASSCODE_PHC_MAX];
    size_t size;
    struct rlimit before, little;
    bool outdated;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* its shadow needs more than any limit */
#endif
    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    little = (struct rlimit){128U << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_AS, &little), 0);
    enum xt_status made = xt_passcode_hash(&large, pepper, TEXT("246810"), phc, &size);
    enum xt_status verified =
        xt_passcode_verify(&large, pepper, TEXT(""), TEXT("246810"), &outdated);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_int_equal(made, XT_NO_MEMORY);
    assert_int_equal(verified, XT_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imported_hashes_verify_and_are_to_be_made_anew),
        cmocka_unit_test(own_hash_verifies_only_with_its_pepper),
        cmocka_unit_test(hash_without_its_key_id_is_another),
        cmocka_unit_test(raised_costs_ask_for_another_hash),
        cmocka_unit_test(what_is_no_such_text_is_denied),
        cmocka_unit_test(every_changed_byte_of_a_hash_is_denied),
        cmocka_unit_test(no_memory_is_no_answer),
    };
    xt_crypto_start();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
