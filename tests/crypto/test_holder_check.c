#include "crypto/holder_check.h"

#include <stdio.h>

#include "core/jose.h"
#include "core/person_member.h"
#include "crypto/holder_signer.h"
#include "crypto/keyring.h"
#include "tests/test.h"

static struct xt_person person;
static char texts[4][160];

/* A right key of this kind; `spoil` is put in the place of its last byte. */
static struct xt_span key(unsigned text, enum xt_holder_key kind, int spoil)
{
    struct xt_holder_signer *signer = NULL;
    uint8_t seed[XT_HOLDER_SEED] = {(uint8_t)(text + 1)};
    uint8_t spki[XT_HOLDER_SPKI_MAX];
    struct xt_writer writer = xt_writer_over(texts[text], sizeof(texts[text]));
    assert_int_equal(xt_holder_signer_open(kind, seed, &signer), XT_OK);
    size_t size = xt_holder_signer_spki(signer, spki);
    xt_holder_signer_close(signer);
    spki[size - 1] ^= (uint8_t)spoil;
    xt_base64url_write(&writer, xt_span_of(spki, size));
    return xt_written(&writer);
}

static int make(void **state)
{
    (void)state;
    xt_crypto_start();
    xt_person_clear(&person);
    person.card_public_key = key(0, XT_HOLDER_P256, 0);
    person.devices[0].public_key = key(1, XT_HOLDER_ED25519, 0);
    person.devices[1].public_key = key(2, XT_HOLDER_P256, 0);
    person.device_count = 2;
    return 0;
}

static void refused(unsigned wanted)
{
    unsigned which = 99;
    assert_int_equal(xt_holder_check_person(&person, &which), XT_INVALID);
    assert_int_equal(which, wanted);
}

static void keys_of_both_kinds_are_taken_and_so_is_nobody(void **state)
{
    (void)state;
    unsigned which;
    assert_int_equal(xt_holder_check_person(&person, &which), XT_OK);
    person.card_public_key = xt_span_of(NULL, 0);
    person.device_count = 0;
    assert_int_equal(xt_holder_check_person(&person, &which), XT_OK);
}

static void whichever_key_is_none_is_told(void **state)
{
    (void)state;
    person.devices[1].public_key = key(2, XT_HOLDER_P256, 1);
    refused(1);
    unsigned curve = 0; /* half of all bytes are no point, the others one of another order */
    for (unsigned spoil = 1; spoil < 64; spoil++) {
        unsigned which;
        person.devices[0].public_key = key(1, XT_HOLDER_ED25519, (int)spoil);
        curve += xt_holder_check_person(&person, &which) == XT_INVALID && which == 0;
    }
    assert_true(curve > 40);
    person.card_public_key = key(0, XT_HOLDER_P256, 0x80);
    refused(XT_HOLDER_CARD);
}

static void whatever_is_not_as_long_as_a_key_is_none(void **state)
{
    (void)state;

    struct xt_span right = person.card_public_key;
    for (size_t size = 1; size < right.size; size++) {
        person.card_public_key.size = size;
        refused(XT_HOLDER_CARD);
    }
    static char longest[XT_PERSON_KEY_MAX];
    memset(longest, 'A', sizeof(longest));

    for (size_t size = right.size + 1; size <= sizeof(longest); size++) {
        memcpy(longest, right.data, right.size);
        person.card_public_key = xt_span_of(longest, size);
        refused(XT_HOLDER_CARD);
    }
}

static void a_reject_names_the_member_and_what_to_do(void **state)
{
    (void)state;
    struct xt_reject reject;
    assert_int_equal(xt_holder_reject(XT_HOLDER_CARD, "", "/card.public_key", &reject), XT_INVALID);
    assert_string_equal(reject.pointer, "/card.public_key");
    assert_string_equal(reject.code, "bad_key");
    assert_int_equal(xt_holder_reject(15, "/data", "/public_key", &reject), XT_INVALID);
    assert_string_equal(reject.pointer, "/data/account/devices/15/public_key");
    assert_non_null(xt_reject_hint(reject.code));
    assert_null(xt_reject_hint("bad_date"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(keys_of_both_kinds_are_taken_and_so_is_nobody, make),
        cmocka_unit_test_setup(whichever_key_is_none_is_told, make),
        cmocka_unit_test_setup(whatever_is_not_as_long_as_a_key_is_none, make),
        cmocka_unit_test_setup(a_reject_names_the_member_and_what_to_do, make),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
