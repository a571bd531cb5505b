/* Revoked certificates: making lists, loading them, and what they do to clients. The time is this file's
 * own time(). */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crypto/file.h"
#include "crypto/tickets.h"
#include "tests/crypto/link.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

static struct link link_;
static struct xt_failure failure;
static int64_t ahead; /* seconds */

time_t time(time_t *result)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    time_t now = (time_t)((int64_t)real.tv_sec + ahead);
    if (result != NULL) {
        *result = now;
    }
    return now;
}

#define DAY 86400

static enum xt_status revoke_by(const char *authority, const char *name, const char *list,
                                unsigned days, struct xt_revocation_list *result)
{
    char key[64], certificate[64], revoked[64];
    snprintf(key, sizeof(key), "%s.key", authority);
    snprintf(certificate, sizeof(certificate), "%s.crt", authority);
    snprintf(revoked, sizeof(revoked), "%s.crt", name == NULL ? "" : name);
    return xt_authority_revoke(scratch(key), scratch(certificate),
                               name == NULL ? NULL : scratch(revoked), scratch(list), days, result,
                               &failure);
}

static struct xt_revocation_list put_on(const char *name, const char *list)
{
    struct xt_revocation_list result;
    enum xt_status status = revoke_by("ca", name, list, 30, &result);
    if (status != XT_OK) {
        print_error("%s\n", failure.text);
    }
    assert_int_equal(status, XT_OK);
    return result;
}

static void forget(const char *list)
{
    (void)unlink(scratch(list));
}

static enum xt_status server_of(const char *authority, const char *list, struct xt_tickets *tickets,
                                struct xt_tls_context **context)
{
    struct xt_tls_server_files files = {.certificate = scratch("server.crt"),
                                        .key = scratch("server.key"),
                                        .client_authority = scratch(authority),
                                        .revocations = list == NULL ? NULL : scratch(list)};
    struct xt_tls_server_material material = {.tickets = tickets};
    return link_server_of(&files, &material, context, &failure);
}

static struct xt_tls_context *server_with(const char *list, struct xt_tickets *tickets)
{
    struct xt_tls_context *context;
    enum xt_status status = server_of("ca.crt", list, tickets, &context);
    if (status != XT_OK) {
        print_error("%s\n", failure.text);
    }
    assert_int_equal(status, XT_OK);
    return context;
}

static void connect_as(const char *name, struct xt_tls_context *server)
{
    struct xt_tls_context *client = link_client(name, false);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    xt_tls_context_close(client);
}

static void assert_refused(const char *word, const char *alert)
{
    uint8_t byte;
    size_t count;
    assert_int_equal(link_.server.handshake, XT_DENIED);
    assert_string_equal(xt_tls_error(link_.server.tls), word);
    assert_int_equal(xt_tls_read(link_.server.tls, &byte, 1, &count), XT_DENIED);
    assert_int_equal(link_.client.stream, XT_DENIED);
    assert_string_equal(xt_tls_error(link_.client.tls), alert);
    link_close(&link_);
}

static void assert_accepted(void)
{
    if (link_.server.handshake != XT_OK) {
        print_error("%s\n", xt_tls_error(link_.server.tls));
    }
    assert_int_equal(link_.server.handshake, XT_OK);
    link_close(&link_);
}

/* ---- clients ---- */

static void a_revoked_client_is_refused_and_no_other(void **state)
{
    (void)state;
    forget("a.crl");
    put_on("client", "a.crl");
    struct xt_tls_context *server = server_with("a.crl", NULL);
    for (int round = 0; round < 2; round++) {
        connect_as("client", server);
        assert_refused("certificate_revoked", "alert_certificate_revoked");
        connect_as("second", server);
        assert_accepted();
    }
    xt_tls_context_close(server);
    server = server_with(NULL, NULL);
    connect_as("client", server);
    assert_accepted();
    xt_tls_context_close(server);
    server = server_with("missing.crl", NULL); /* nothing was revoked yet */
    assert_true(xt_tls_revocations_until(server) == INT64_MAX);
    connect_as("client", server);
    assert_accepted();
    xt_tls_context_close(server);
}

static void a_session_does_not_outlive_its_revocation(void **state)
{
    (void)state;
    struct xt_ticket_seed seed;
    struct xt_tickets *tickets;
    size_t taken;
    int64_t now = (int64_t)time(NULL);
    xt_ticket_seed_make(&seed, now);
    assert_int_equal(xt_tickets_open(&seed, now, &tickets), XT_OK);
    forget("b.crl");
    put_on(NULL, "b.crl");
    struct xt_tls_context *server = server_with("b.crl", tickets);
    struct xt_tls_context *client = link_client("client", true);
    for (int round = 0; round < 2; round++) {
        link_open(&link_, client, server, "localhost");
        link_pump(&link_, 4096);
        assert_int_equal(link_.server.handshake, XT_OK);
        assert_int_equal(xt_tls_resumed(link_.server.tls), round > 0);
        assert_int_equal(xt_tls_write(link_.server.tls, xt_span_of("x", 1), &taken), XT_OK);
        link_pump(&link_, 4096);
        link_close(&link_);
    }
    put_on("client", "b.crl");
    xt_tls_context_close(server);
    server = server_with("b.crl", tickets);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_true(xt_tls_resumed(link_.server.tls));
    assert_refused("certificate_revoked", "alert_certificate_revoked");
    xt_tls_context_close(server);
    /* Nor its authority: resumed, and judged by who is trusted now. */
    struct xt_tls_context *old = server_with(NULL, tickets);
    link_open(&link_, client, old, "localhost");
    link_pump(&link_, 4096);
    assert_int_equal(xt_tls_write(link_.server.tls, xt_span_of("x", 1), &taken), XT_OK);
    link_pump(&link_, 4096);
    link_close(&link_);
    assert_int_equal(server_of("other-ca.crt", NULL, tickets, &server), XT_OK);
    link_open(&link_, client, server, "localhost");
    link_pump(&link_, 4096);
    assert_true(xt_tls_resumed(link_.server.tls));
    assert_refused("unknown_ca", "alert_unknown_ca");
    xt_tls_context_close(old);
    xt_tls_context_close(server);
    xt_tls_context_close(client);
    xt_tickets_close(tickets);
}

static void an_open_connection_is_judged_by_the_context_of_now(void **state)
{
    (void)state;
    int64_t now = (int64_t)time(NULL);
    size_t taken;
    forget("c.crl");
    put_on("second", "c.crl");
    struct xt_tls_context *server = server_with("c.crl", NULL);
    connect_as("client", server);
    assert_int_equal(link_.server.handshake, XT_OK);
    struct xt_tls *tls = link_.server.tls;
    assert_int_equal(xt_tls_rejudge(tls, server, now), XT_OK);
    struct xt_tls_context *same = server_with("c.crl", NULL);
    assert_int_equal(xt_tls_rejudge(tls, same, now), XT_OK);
    assert_string_equal(xt_tls_error(tls), "");

    put_on("client", "c.crl");
    struct xt_tls_context *newer = server_with("c.crl", NULL);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(xt_tls_rejudge(tls, newer, now + i), XT_DENIED);
        assert_string_equal(xt_tls_error(tls), "certificate_revoked");
    }
    /* The refusal can be answered. */
    assert_int_equal(xt_tls_write(tls, xt_span_of("401", 3), &taken), XT_OK);
    link_pump(&link_, 4096);
    assert_memory_equal(link_.client.got, "401", 3);
    assert_int_equal(xt_tls_rejudge(tls, same, now), XT_OK); /* a mistake that was mended */

    struct xt_tls_context *other;
    assert_int_equal(server_of("other-ca.crt", NULL, NULL, &other), XT_OK);
    assert_int_equal(xt_tls_rejudge(tls, other, now), XT_DENIED);
    assert_string_equal(xt_tls_error(tls), "unknown_ca");
    assert_int_equal(xt_tls_rejudge(tls, same, now), XT_OK);
    assert_int_equal(xt_tls_rejudge(tls, same, now + 2 * DAY),
                     XT_DENIED); /* the client's own end */
    assert_string_equal(xt_tls_error(tls), "certificate_expired");
    assert_int_equal(xt_tls_rejudge(tls, same, now), XT_OK);
    link_close(&link_);
    xt_tls_context_close(server);
    xt_tls_context_close(same);
    xt_tls_context_close(newer);
    xt_tls_context_close(other);
}

/* One whose own certificate outlives its list. */
static enum xt_status lasting_server(bool were_in_force, struct xt_tls_context **context)
{
    struct xt_tls_server_files files = {.certificate = scratch("server-long.crt"),
                                        .key = scratch("server-long.key"),
                                        .client_authority = scratch("ca.crt"),
                                        .revocations = scratch("d.crl")};
    struct xt_tls_server_material material = {.revocations_were_in_force = were_in_force};
    return link_server_of(&files, &material, context, &failure);
}

static void once_the_list_has_ended_nobody_of_its_authority_comes_in(void **state)
{
    (void)state;
    struct xt_revocation_list made;
    int64_t now = (int64_t)time(NULL);
    link_issue("ca", "longer", XT_CERTIFICATE_CLIENT, now - 300, now + 10 * DAY);
    forget("d.crl");
    assert_int_equal(revoke_by("ca", NULL, "d.crl", 3, &made), XT_OK);
    struct xt_tls_context *server = server_with("d.crl", NULL);
    assert_true(xt_tls_revocations_until(server) == made.until);
    assert_true(made.until >= now + 3 * DAY && made.until <= now + 3 * DAY + 5);
    connect_as("longer", server);
    assert_int_equal(link_.server.handshake, XT_OK);
    assert_int_equal(xt_tls_rejudge(link_.server.tls, server, made.until), XT_OK);
    assert_int_equal(xt_tls_rejudge(link_.server.tls, server, made.until + 1), XT_DENIED);
    assert_string_equal(xt_tls_error(link_.server.tls), "revocation_list_expired");
    link_close(&link_);
    xt_tls_context_close(server);

    ahead = 3 * DAY + 10;
    link_issue("ca", "server-long", XT_CERTIFICATE_SERVER, now - 300, now + 10 * DAY);
    assert_int_equal(lasting_server(false, &server), XT_OK); /* a restart, or a reload */
    assert_true(xt_tls_revocations_until(server) == made.until);
    connect_as("longer", server);
    assert_refused("revocation_list_expired", "alert_certificate_unknown");
    xt_tls_context_close(server);
    assert_int_equal(revoke_by("ca", NULL, "d.crl", 3, &made), XT_OK); /* renewed */
    assert_int_equal(lasting_server(false, &server), XT_OK);
    connect_as("longer", server);
    assert_accepted();
    xt_tls_context_close(server);
    ahead = 0;
    assert_int_equal(lasting_server(false, &server), XT_DENIED);
    assert_non_null(strstr(failure.text, "not in force yet"));
    assert_int_equal(lasting_server(true, &server), XT_OK); /* a worker that is replaced */
    xt_tls_context_close(server);
}

static void join(const char *first, const char *second, const char *made)
{
    char text[SHELL_TEXT_MAX];
    assert_true(scratch_shell(text, "cat %s %s > %s", first, second, made));
}

/* What is urgent of one authority comes in beside another's list that has ended. */
static void a_list_that_has_ended_shuts_out_its_own_authority_only(void **state)
{
    (void)state;
    struct xt_revocation_list ended;
    struct xt_revocation_list made;
    struct xt_tls_context *server;
    forget("o.crl");
    forget("p.crl");
    ahead = -4 * DAY;
    assert_int_equal(revoke_by("other-ca", NULL, "o.crl", 2, &ended), XT_OK);
    ahead = 0;
    assert_int_equal(revoke_by("ca", "second", "p.crl", 30, &made), XT_OK);
    join("ca.crt", "other-ca.crt", "two.crt");
    join("o.crl", "p.crl", "two.crl");
    assert_int_equal(server_of("two.crt", "two.crl", NULL, &server), XT_OK);
    assert_true(xt_tls_revocations_until(server) == ended.until);
    connect_as("client", server);
    assert_accepted();
    connect_as("second", server);
    assert_refused("certificate_revoked", "alert_certificate_revoked");
    connect_as("stranger", server);
    assert_refused("revocation_list_expired", "alert_certificate_unknown");
    xt_tls_context_close(server);

    /* Beside its successor it no longer does; what either revokes is revoked. */
    assert_true(scratch_shell((char[SHELL_TEXT_MAX]){0}, "cp o.crl q.crl"));
    assert_int_equal(revoke_by("other-ca", NULL, "q.crl", 30, &made), XT_OK);
    join("two.crl", "q.crl", "three.crl");
    assert_int_equal(server_of("two.crt", "three.crl", NULL, &server), XT_OK);
    assert_true(xt_tls_revocations_until(server) > (int64_t)time(NULL));
    connect_as("stranger", server);
    assert_accepted();
    connect_as("second", server);
    assert_refused("certificate_revoked", "alert_certificate_revoked");
    xt_tls_context_close(server);
}

/* The authority under another name: it kept its key. */
static void make_renamed(void)
{
    char text[SHELL_TEXT_MAX];
    if (!have_openssl()) {
        skip();
    }
    assert_true(scratch_shell(
        text, "openssl req -x509 -new -key ca.key -subj '/CN=Renamed' -days 30 -out renamed.crt "
              "-addext 'keyUsage=critical,keyCertSign,cRLSign' && cp ca.key renamed.key"));
}

static void a_list_of_the_same_key_and_another_name_covers_nobody(void **state)
{
    (void)state;
    struct xt_revocation_list made;
    struct xt_tls_context *server;
    time_t now = time(NULL);
    make_renamed();
    link_issue("renamed", "moved", XT_CERTIFICATE_CLIENT, now - 300, now + DAY);
    join("ca.crt", "renamed.crt", "names.crt");
    forget("r.crl");
    forget("s.crl");
    put_on("client", "r.crl");
    assert_int_equal(server_of("names.crt", "r.crl", NULL, &server), XT_INVALID);
    assert_non_null(strstr(failure.text, "no list of authority 2"));
    assert_int_equal(revoke_by("renamed", "moved", "s.crl", 30, &made), XT_OK);
    assert_int_equal(server_of("names.crt", "s.crl", NULL, &server), XT_INVALID);
    assert_non_null(strstr(failure.text, "no list of authority 1"));
    join("r.crl", "s.crl", "names.crl");
    assert_int_equal(server_of("names.crt", "names.crl", NULL, &server), XT_OK);
    connect_as("client", server);
    assert_refused("certificate_revoked", "alert_certificate_revoked");
    connect_as("moved", server);
    assert_refused("certificate_revoked", "alert_certificate_revoked");
    connect_as("second", server);
    assert_accepted();
    xt_tls_context_close(server);
}

/* The other one is no trusted one: nobody asks for its list until a client of it comes. */
static void an_intermediate_is_not_covered_by_a_list_of_another_name(void **state)
{
    (void)state;
    char text[SHELL_TEXT_MAX];
    struct xt_revocation_list made;
    struct xt_tls_context *server;
    time_t now = time(NULL);
    make_renamed();
    forget("t.crl");
    assert_int_equal(revoke_by("renamed", NULL, "t.crl", 30, &made), XT_OK);
    assert_true(scratch_shell(
        text,
        "printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign' > b.cnf && "
        "openssl req -new -key ca.key -subj '/CN=Between' -out between.csr && "
        "openssl x509 -req -in between.csr -CA renamed.crt -CAkey ca.key -days 30 "
        "-set_serial 77 -extfile b.cnf -out between.crt && cp ca.key between.key"));
    link_issue("between", "beyond", XT_CERTIFICATE_CLIENT, now - 300, now + DAY);
    join("beyond.crt", "between.crt", "chain.crt");
    assert_true(scratch_shell(text, "cp beyond.key chain.key"));
    assert_int_equal(server_of("renamed.crt", NULL, NULL, &server), XT_OK);
    connect_as("chain", server);
    assert_accepted();
    xt_tls_context_close(server);
    assert_int_equal(server_of("renamed.crt", "t.crl", NULL, &server), XT_OK);
    connect_as("chain", server);
    assert_refused("revocation_unknown", "alert_certificate_unknown");
    xt_tls_context_close(server);
}

/* ---- loading ---- */

static void assert_load(const char *authority, const char *list, enum xt_status expected,
                        const char *words)
{
    struct xt_tls_context *context = NULL;
    enum xt_status status = server_of(authority, list, NULL, &context);
    if (status != expected || (words != NULL && strstr(failure.text, words) == NULL)) {
        print_error("%s: %s\n", list, failure.text);
    }
    assert_int_equal(status, expected);
    if (words != NULL) {
        assert_non_null(strstr(failure.text, words));
    }
    xt_tls_context_close(context);
}

static void lists_that_cannot_be_trusted_are_refused_by_name(void **state)
{
    (void)state;
    struct xt_revocation_list made;
    char text[SHELL_TEXT_MAX];
    forget("e.crl");
    forget("foreign.crl");
    put_on("client", "e.crl");
    assert_int_equal(revoke_by("other-ca", NULL, "foreign.crl", 30, &made), XT_OK);
    assert_load("ca.crt", "e.crl", XT_OK, NULL);
    assert_load("ca.crt", "foreign.crl", XT_DENIED, "not signed by an authority");
    scratch_write("empty.crl", "", 0, 0644);
    assert_load("ca.crt", "empty.crl", XT_INVALID, "empty.crl is empty");
    scratch_write("words.crl", "no list\n", 8, 0644);
    assert_load("ca.crt", "words.crl", XT_INVALID, "words.crl holds no list");
    assert_load("ca.crt", "ca.crt", XT_INVALID, "holds no list");
    assert_true(scratch_shell(text, "head -c 300 e.crl > cut.crl"));
    assert_load("ca.crt", "cut.crl", XT_INVALID, "cut.crl");
    join("e.crl", "words.crl", "tail.crl");
    assert_load("ca.crt", "tail.crl", XT_OK, NULL); /* text between blocks is no block */
    join("e.crl", "cut.crl", "half.crl");
    assert_load("ca.crt", "half.crl", XT_INVALID, "half.crl");
}

static void every_changed_byte_of_a_list_is_noticed(void **state)
{
    (void)state;
    uint8_t *content;
    size_t size;
    unsigned accepted = 0;
    forget("f.crl");
    put_on("client", "f.crl");
    assert_int_equal(xt_file_read(scratch("f.crl"), 65536, &content, &size, &failure), XT_OK);
    for (size_t i = 0; i < size; i++) {
        uint8_t before = content[i];
        content[i] = before == 'A' ? 'B' : 'A';
        scratch_write("changed.crl", content, size, 0644);
        struct xt_tls_context *context = NULL;
        if (server_of("ca.crt", "changed.crl", NULL, &context) == XT_OK) {
            /* Then it says what it said: only a newline can be lost without harm. */
            accepted++;
            connect_as("client", context);
            assert_refused("certificate_revoked", "alert_certificate_revoked");
            xt_tls_context_close(context);
        }
        content[i] = before;
    }
    assert_true(accepted < 4);
    xt_file_release(content, size);
}

static void every_authority_needs_a_list(void **state)
{
    (void)state;
    struct xt_revocation_list made;
    forget("g.crl");
    forget("h.crl");
    put_on(NULL, "g.crl");
    assert_int_equal(revoke_by("other-ca", "stranger", "h.crl", 30, &made), XT_OK);
    join("ca.crt", "other-ca.crt", "both.crt");
    join("g.crl", "h.crl", "both.crl");
    assert_load("both.crt", "g.crl", XT_INVALID, "no list of authority 2");
    assert_load("both.crt", "h.crl", XT_INVALID, "no list of authority 1");
    struct xt_tls_context *context;
    assert_int_equal(server_of("both.crt", "both.crl", NULL, &context), XT_OK);
    connect_as("client", context);
    assert_accepted();
    connect_as("stranger", context);
    assert_refused("certificate_revoked", "alert_certificate_revoked");
    xt_tls_context_close(context);
    /* Both authorities have one name: the list of one revokes nobody of the other. */
    assert_int_equal(revoke_by("ca", NULL, "h.crl", 30, &made), XT_DENIED);
}

/* Lists that only a part is in, made with the openssl command. */
static void partial_lists_are_refused(void **state)
{
    (void)state;
    char text[SHELL_TEXT_MAX];
    static const struct {
        const char *name, *extension;
    } kinds[] = {{"indirect", "issuingDistributionPoint=critical,@idp\n[idp]\nindirectCRL=TRUE"},
                 {"scoped", "issuingDistributionPoint=critical,@idp\n[idp]\nonlyuser=TRUE"},
                 {"delta", "2.5.29.27=critical,DER:02:01:01"},
                 {"softdelta", "2.5.29.27=DER:02:01:01"},
                 {"unknown", "1.2.3.4=critical,DER:05:00"}};
    if (!have_openssl()) {
        skip();
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        bool made = scratch_shell(
            text,
            "rm -f index.txt && touch index.txt && echo 01 > number && "
            "printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\ncrlnumber=number\\n"
            "default_md=sha256\\ncrl_extensions=x\\n[x]\\n%s\\n' > %s.cnf && "
            "openssl ca -config %s.cnf -gencrl -keyfile ca.key -cert ca.crt -crldays 5 "
            "-out %s.crl",
            kinds[i].extension, kinds[i].name, kinds[i].name, kinds[i].name);
        if (!made) {
            print_error("%s\n", text);
        }
        assert_true(made);
        char list[64];
        snprintf(list, sizeof(list), "%s.crl", kinds[i].name);
        assert_load("ca.crt", list, XT_INVALID, "delta, indirect or partial");
    }
    assert_true(scratch_shell(text, "openssl ca -config scoped.cnf -gencrl -crlexts y -keyfile "
                                    "ca.key -cert ca.crt -crldays 5 -out plain.crl || "
                                    "(sed 's/crl_extensions=x//' scoped.cnf > plain.cnf && "
                                    "openssl ca -config plain.cnf -gencrl -keyfile ca.key -cert "
                                    "ca.crt -crldays 5 -out plain.crl)"));
    assert_load("ca.crt", "plain.crl", XT_OK, NULL);
}

/* ---- making ---- */

static void lists_grow_and_keep_what_they_said(void **state)
{
    (void)state;
    uint8_t spki[32];
    forget("i.crl");
    assert_int_equal(put_on(NULL, "i.crl").entries, 0);
    struct xt_revocation_list made = put_on("client", "i.crl");
    assert_int_equal(made.entries, 1);
    assert_false(made.was_revoked);
    assert_int_equal(xt_certificate_spki(scratch("client.crt"), spki, &failure), XT_OK);
    assert_memory_equal(made.spki, spki, 32);
    made = put_on("client", "i.crl");
    assert_int_equal(made.entries, 1);
    assert_true(made.was_revoked);
    assert_int_equal(put_on("second", "i.crl").entries, 2);
    assert_int_equal(put_on(NULL, "i.crl").entries, 2);
    if (!have_openssl()) {
        return;
    }
    char text[SHELL_TEXT_MAX];
    assert_true(scratch_shell(text, "openssl crl -in i.crl -CAfile ca.crt -noout -crlnumber"));
    assert_non_null(strstr(text, "verify OK"));
    assert_non_null(strstr(text, "crlNumber=0x05"));
    assert_true(scratch_shell(text, "openssl crl -in i.crl -noout -text"));
    assert_non_null(strstr(text, "Version 2"));
    assert_non_null(strstr(text, "Authority Key Identifier"));
    assert_false(
        scratch_shell(text, "openssl verify -crl_check -CAfile ca.crt -CRLfile i.crl client.crt"));
    assert_non_null(strstr(text, "revoked"));
    bool verified =
        scratch_shell(text, "openssl verify -crl_check -CAfile ca.crt -CRLfile i.crl server.crt");
    if (!verified) {
        print_error("%s\n", text);
    }
    assert_true(verified);
}

static void what_is_not_its_own_an_authority_does_not_touch(void **state)
{
    (void)state;
    struct xt_revocation_list made;
    forget("j.crl");
    assert_int_equal(revoke_by("ca", "stranger", "j.crl", 30, &made), XT_DENIED);
    assert_non_null(strstr(failure.text, "not issued by this authority"));
    assert_int_equal(access(scratch("j.crl"), F_OK), -1);
    assert_int_equal(revoke_by("ca", "missing", "j.crl", 30, &made), XT_NOT_FOUND);
    assert_int_equal(revoke_by("other-ca", NULL, "j.crl", 30, &made), XT_OK);
    assert_int_equal(revoke_by("ca", "client", "j.crl", 30, &made), XT_DENIED);
    assert_non_null(strstr(failure.text, "not signed by this authority"));
    scratch_write("k.crl", "", 0, 0644);
    assert_int_equal(revoke_by("ca", "client", "k.crl", 30, &made), XT_INVALID);
    assert_non_null(strstr(failure.text, "holds no list"));
    forget("l.crl");
    put_on(NULL, "l.crl");
    join("l.crl", "j.crl", "m.crl");
    assert_int_equal(revoke_by("ca", "client", "m.crl", 30, &made), XT_INVALID);
    assert_non_null(strstr(failure.text, "more than this authority's own"));
}

static void two_who_revoke_at_once_lose_nothing(void **state)
{
    (void)state;
    enum { EACH = 12, MAKERS = 3 };
    time_t now = time(NULL);
    char name[32];
    for (int i = 0; i < EACH * MAKERS; i++) {
        snprintf(name, sizeof(name), "many-%d", i);
        link_issue("ca", name, XT_CERTIFICATE_CLIENT, now - 300, now + DAY);
    }
    forget("n.crl");
    for (int maker = 0; maker < MAKERS; maker++) {
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct xt_revocation_list made;
            int failed = 0;
            for (int i = 0; i < EACH; i++) {
                snprintf(name, sizeof(name), "many-%d", maker * EACH + i);
                failed |= revoke_by("ca", name, "n.crl", 30, &made) != XT_OK;
            }
            _exit(failed);
        }
    }
    for (int maker = 0; maker < MAKERS; maker++) {
        int how;
        assert_true(wait(&how) > 0);
        assert_int_equal(how, 0);
    }
    assert_int_equal(put_on(NULL, "n.crl").entries, EACH * MAKERS);
}

static int set_up(void **state)
{
    int result = scratch_make(state);
    if (result == 0) {
        link_make_certificates();
    }
    return result;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_revoked_client_is_refused_and_no_other),
        cmocka_unit_test(a_session_does_not_outlive_its_revocation),
        cmocka_unit_test(an_open_connection_is_judged_by_the_context_of_now),
        cmocka_unit_test(once_the_list_has_ended_nobody_of_its_authority_comes_in),
        cmocka_unit_test(a_list_that_has_ended_shuts_out_its_own_authority_only),
        cmocka_unit_test(a_list_of_the_same_key_and_another_name_covers_nobody),
        cmocka_unit_test(an_intermediate_is_not_covered_by_a_list_of_another_name),
        cmocka_unit_test(lists_that_cannot_be_trusted_are_refused_by_name),
        cmocka_unit_test(every_changed_byte_of_a_list_is_noticed),
        cmocka_unit_test(every_authority_needs_a_list),
        cmocka_unit_test(partial_lists_are_refused),
        cmocka_unit_test(lists_grow_and_keep_what_they_said),
        cmocka_unit_test(what_is_not_its_own_an_authority_does_not_touch),
        cmocka_unit_test(two_who_revoke_at_once_lose_nothing),
    };
    return cmocka_run_group_tests_name("crypto/revocation", tests, set_up, scratch_remove);
}
