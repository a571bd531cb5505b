#include "tests/crypto/link.h"

#include <stdio.h>
#include <string.h>

#include "tests/crypto/scratch.h"
#include "tests/test.h"

static struct xt_failure failure;

static const char *file(const char *name, const char *suffix)
{
    char path[100];
    snprintf(path, sizeof(path), "%s%s", name, suffix);
    return scratch(path);
}

void link_issue(const char *authority, const char *name, int use, time_t not_before,
                time_t not_after)
{
    static const char *const dns[] = {"localhost", "id.example.vn", NULL};
    static const char *const addresses[] = {"127.0.0.1", "::1", NULL};
    uint8_t spki[XT_SPKI_SHA256];
    struct xt_certificate_request request = {
        .use = (enum xt_certificate_use)use,
        .common_name = name,
        .dns_names = use == XT_CERTIFICATE_SERVER ? dns : NULL,
        .addresses = use == XT_CERTIFICATE_SERVER ? addresses : NULL,
        .not_before = not_before,
        .not_after = not_after,
    };
    assert_int_equal(xt_authority_issue(file(authority, ".key"), file(authority, ".crt"), &request,
                                        file(name, ".key"), file(name, ".crt"), spki, &failure),
                     XT_OK);
}

void link_make_certificates(void)
{
    time_t now = time(NULL);
    time_t day = 86400;
    assert_int_equal(xt_authority_create(scratch("ca.key"), scratch("ca.crt"), "ours", &failure),
                     XT_OK);
    assert_int_equal(
        xt_authority_create(scratch("other-ca.key"), scratch("other-ca.crt"), "ours", &failure),
        XT_OK);
    link_issue("ca", "server", XT_CERTIFICATE_SERVER, now - 300, now + day);
    link_issue("ca", "client", XT_CERTIFICATE_CLIENT, now - 300, now + day);
    link_issue("ca", "second", XT_CERTIFICATE_CLIENT, now - 300, now + day);
    link_issue("ca", "expired", XT_CERTIFICATE_CLIENT, now - 2 * day, now - 60);
    link_issue("ca", "early", XT_CERTIFICATE_CLIENT, now + day, now + 2 * day);
    link_issue("ca", "old-server", XT_CERTIFICATE_SERVER, now - 2 * day, now - 60);
    link_issue("other-ca", "stranger", XT_CERTIFICATE_CLIENT, now - 300, now + day);
}

enum xt_status link_server_of(const struct xt_tls_server_files *files,
                              const struct xt_tls_server_material *material,
                              struct xt_tls_context **context, struct xt_failure *why)
{
    struct xt_tls_server_material read = {.allow_tls12 = false};
    if (material != NULL) {
        read = *material;
    }
    enum xt_status status = xt_tls_material_read(files, &read, why);
    if (status == XT_OK) {
        status = xt_tls_server(&read, context, why);
        xt_tls_material_release(&read);
    }
    return status;
}

struct xt_tls_context *link_server(void)
{
    struct xt_tls_context *context;
    struct xt_tls_server_files files = {.certificate = scratch("server.crt"),
                                        .key = scratch("server.key"),
                                        .client_authority = scratch("ca.crt")};
    enum xt_status status = link_server_of(&files, NULL, &context, &failure);
    if (status != XT_OK) {
        print_error("%s\n", failure.text);
    }
    assert_int_equal(status, XT_OK);
    return context;
}

struct xt_tls_context *link_client(const char *name, bool resume)
{
    struct xt_tls_context *context;
    struct xt_tls_client_files files = {.certificate = name == NULL ? NULL : file(name, ".crt"),
                                        .key = name == NULL ? NULL : file(name, ".key"),
                                        .server_authority = scratch("ca.crt"),
                                        .resume = resume};
    enum xt_status status = xt_tls_client(&files, &context, &failure);
    if (status != XT_OK) {
        print_error("%s\n", failure.text);
    }
    assert_int_equal(status, XT_OK);
    return context;
}

void link_open(struct link *link, struct xt_tls_context *client, struct xt_tls_context *server,
               const char *server_name)
{
    memset(link, 0, sizeof(*link));
    link->client.handshake = link->server.handshake = XT_AGAIN;
    link->client.stream = link->server.stream = XT_AGAIN;
    assert_int_equal(xt_tls_open(client, server_name, &link->client.tls), XT_OK);
    assert_int_equal(xt_tls_open(server, NULL, &link->server.tls), XT_OK);
}

void link_close(struct link *link)
{
    xt_tls_close(link->client.tls);
    xt_tls_close(link->server.tls);
    memset(link, 0, sizeof(*link));
}

void side_work(struct side *side)
{
    if (side->handshake == XT_AGAIN) {
        side->handshake = xt_tls_handshake(side->tls);
    }
    while (side->handshake == XT_OK && side->stream == XT_AGAIN) {
        size_t got;
        assert_true(side->size < sizeof(side->got));
        enum xt_status status =
            xt_tls_read(side->tls, side->got + side->size, sizeof(side->got) - side->size, &got);
        assert_int_equal(status == XT_OK, got > 0);
        side->size += got;
        if (status == XT_AGAIN) {
            break;
        }
        side->stream = status == XT_OK ? XT_AGAIN : status;
    }
}

void side_take(struct side *side, const uint8_t *bytes, size_t size)
{
    xt_tls_feed(side->tls, xt_span_of(bytes, size));
    side_work(side);
    /* A broken connection does not read on: its input is thrown away with it. */
    assert_int_equal(xt_tls_settle(side->tls), XT_OK);
}

static bool carry(struct link *link, struct side *from, struct side *to, size_t step)
{
    struct xt_span output = xt_tls_output(from->tls);
    if (output.size == 0) {
        return false;
    }
    uint8_t bytes[4096];
    size_t size = output.size < step ? output.size : step;
    size = size < sizeof(bytes) / 2 ? size : sizeof(bytes) / 2;
    memcpy(bytes, output.data, size);
    xt_tls_output_taken(from->tls, size);
    if (link->tamper != NULL) {
        size = link->tamper(link->tamper_data, to == &link->server, bytes, size, sizeof(bytes));
    }
    bool broken = (to->handshake != XT_OK && to->handshake != XT_AGAIN) || to->stream != XT_AGAIN;
    if (size > 0 && !broken) {
        side_take(to, bytes, size);
    }
    return true;
}

void link_pump(struct link *link, size_t step)
{
    side_work(&link->client);
    side_work(&link->server);
    bool moved;
    do {
        moved = carry(link, &link->client, &link->server, step);
        moved = carry(link, &link->server, &link->client, step) || moved;
    } while (moved);
}
