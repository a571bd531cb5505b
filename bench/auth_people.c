#include "bench/auth_people.h"

#include <stdio.h>

#include "bench/output.h"
#include "core/jose.h"

#define LINE_MAX_BYTES 1024

void xt_auth_person_id(unsigned person, char id[XT_AUTH_ID])
{
    (void)snprintf(id, XT_AUTH_ID, "001088%06u", person % 1000000);
}

static enum xt_status open_signer(unsigned person, char what, struct xt_holder_signer **signer)
{
    const uint8_t seed[XT_HOLDER_SEED] = {'a',
                                          'u',
                                          't',
                                          (uint8_t)what,
                                          (uint8_t)person,
                                          (uint8_t)(person >> 8),
                                          (uint8_t)(person >> 16)};
    return xt_holder_signer_open(XT_HOLDER_P256, seed, signer);
}

enum xt_status xt_auth_person_signer(unsigned person, struct xt_holder_signer **signer)
{
    return open_signer(person, 'h', signer);
}

static enum xt_status write_key(struct xt_writer *writer, unsigned person, char what)
{
    struct xt_holder_signer *signer = NULL;
    uint8_t spki[XT_HOLDER_SPKI_MAX];
    enum xt_status status = open_signer(person, what, &signer);
    if (status != XT_OK) {
        return status;
    }
    size_t size = xt_holder_signer_spki(signer, spki);
    xt_holder_signer_close(signer);
    xt_base64url_write(writer, xt_span_of(spki, size));
    return XT_OK;
}

/* Nobody's passcode, at costs of a server with 7 MiB in five passes. */
#define PASSCODE_HASH "$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$" HASH
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static enum xt_status write_person(struct xt_writer *writer, unsigned person)
{
    char id[XT_AUTH_ID];
    xt_auth_person_id(person, id);
    xt_write_literal(writer, "{\"id\":\"");
    xt_write_string(writer, id);
    xt_write_literal(writer, "\",\"full_name\":\"Nguyễn Văn An\",\"date_of_birth\":\"1988-01-25\","
                             "\"card\":{\"issued_on\":\"2021-04-25\",\"expires_on\":\"2099-01-25\","
                             "\"state\":\"active\",\"public_key\":\"");
    enum xt_status status = write_key(writer, person, 'c');
    xt_write_literal(writer, "\"},\"account\":{\"level\":2,");
    xt_write_string(writer, person >= XT_AUTH_LOCKED ? "\"locks\":[\"holder\"]," : "");
    xt_write_literal(writer, "\"passcode_hash\":\"" PASSCODE_HASH "\",");
    xt_write_literal(writer,
                     "\"devices\":[{\"device_id\":\"" XT_AUTH_DEVICE "\",\"public_key\":\"");
    status = status == XT_OK ? write_key(writer, person, 'h') : status;
    xt_write_literal(writer, "\"}]}}\n");
    return status;
}

enum xt_status xt_auth_people_write(unsigned count, const char *path, struct xt_failure *failure)
{
    struct xt_output output;
    enum xt_status status = xt_output_open(&output, path, failure);
    for (unsigned i = 0; status == XT_OK && i < 2 * count; i++) {
        unsigned person = i < count ? i : XT_AUTH_LOCKED + i - count;
        status = xt_output_room(&output, LINE_MAX_BYTES, failure);
        if (status == XT_OK && write_person(&output.writer, person) != XT_OK) {
            status = xt_fail(failure, XT_NO_MEMORY, "not enough memory");
        }
    }
    if (status == XT_OK) {
        status = xt_output_commit(&output, failure);
    }
    xt_output_close(&output);
    return status;
}
