/* Where the server's private key is in our memory: in pages that are locked and in no dump, and nowhere
 * once it was given back. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "crypto/keyring.h"
#include "tests/crypto/link.h"
#include "tests/crypto/scratch.h"
#include "tests/test.h"

#define SCALAR 32
#define MASK 0x5a                       /* the test must not find itself */
#define MAPPING_MAX ((uint64_t)1 << 30) /* larger ones are a sanitizer's shadow */

static struct link link_;
static struct xt_failure failure;
static uint8_t window[1 << 20]; /* memory is looked at here; itself it is left out */

struct found {
    unsigned protected,
        open; /* copies of the key in locked pages that are not dumped, and in others */
};

static bool stands_at(const uint8_t *bytes, const uint8_t masked[SCALAR], bool reversed)
{
    for (unsigned i = 0; i < SCALAR; i++) {
        if ((bytes[reversed ? SCALAR - 1 - i : i] ^ MASK) != masked[i]) {
            return false;
        }
    }
    return true;
}

static unsigned count_in(int memory, uint64_t begin, uint64_t end, const uint8_t masked[SCALAR])
{
    unsigned count = 0;
    for (uint64_t at = begin; at + SCALAR <= end; at += sizeof(window) - SCALAR + 1) {
        size_t size = end - at < sizeof(window) ? (size_t)(end - at) : sizeof(window);
        ssize_t got = pread(memory, window, size, (off_t)at);
        for (ssize_t i = 0; i + SCALAR <= got; i++) {
            bool here = (window[i] ^ MASK) == masked[0] || (window[i] ^ MASK) == masked[SCALAR - 1];
            if (here &&
                (stands_at(window + i, masked, false) || stands_at(window + i, masked, true))) {
                count++;
            }
        }
    }
    memset(window, 0, sizeof(window));
    return count;
}

/* AddressSanitizer makes mlock do nothing; a machine may forbid it. */
static bool may_lock(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return false;
#else
    struct rlimit limit;
    return geteuid() == 0 ||
           (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur >= (rlim_t)1 << 20);
#endif
}

/* Looks through every writable mapping; /proc/self/smaps tells which ones are protected. */
static struct found look_for(const uint8_t masked[SCALAR])
{
    struct found found = {0, 0};
    char line[512];
    uint64_t begin = 0, end = 0;
    bool writable = false;
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    FILE *maps = fopen("/proc/self/smaps", "r");
    assert_true(memory >= 0);
    assert_non_null(maps);
    long locked_kb = 0;
    while (fgets(line, sizeof(line), maps) != NULL) {
        char mode[8];
        unsigned long long from, until;
        if (sscanf(line, "%llx-%llx %7s", &from, &until, mode) == 3) {
            begin = from;
            end = until;
            writable = mode[0] == 'r' && mode[1] == 'w';
        } else if (strncmp(line, "Locked:", 7) == 0) {
            locked_kb = strtol(line + 7, NULL, 10);
        } else if (strncmp(line, "VmFlags:", 8) == 0 && writable && end - begin < MAPPING_MAX) {
            uint64_t own = (uint64_t)(uintptr_t)window;
            bool is_own = own < end && own + sizeof(window) > begin;
            bool is_locked = locked_kb > 0 && strstr(line, " lo") != NULL;
            bool is_protected = strstr(line, " dd") != NULL && (is_locked || !may_lock());
            unsigned count = 0;
            if (!is_own) {
                count = count_in(memory, begin, end, masked);
            } else { /* what stands beside it in the same mapping */
                count = count_in(memory, begin, own, masked) +
                        count_in(memory, own + sizeof(window), end, masked);
            }
            *(is_protected ? &found.protected : &found.open) += count;
        }
    }
    fclose(maps);
    close(memory);
    return found;
}

/* The private scalar of a P-256 key, from the openssl command, masked at once. */
static void read_scalar(const char *file, uint8_t masked[SCALAR])
{
    char text[SHELL_TEXT_MAX];
    assert_true(scratch_shell(text,
                              "openssl ec -in %s -noout -text 2>/dev/null | sed -n "
                              "'/priv:/,/pub:/p' | grep '^ ' | tr -d ' :\\n'",
                              file));
    size_t size = strlen(text);
    assert_true(size >= 60 && size <= 66);
    for (unsigned i = 0; i < SCALAR; i++) { /* right-aligned; a sign byte may stand before it */
        char digits[3] = "00";
        long at = (long)size - 2 * (SCALAR - (long)i);
        if (at >= 0) {
            memcpy(digits, text + at, 2);
        }
        masked[i] = (uint8_t)(strtoul(digits, NULL, 16) ^ MASK);
    }
}

static void the_servers_key_lies_in_protected_memory_and_is_wiped(void **state)
{
    (void)state;
    uint8_t masked[SCALAR];
    if (!have_openssl()) {
        skip();
    }
    read_scalar("server.key", masked);
    struct found before = look_for(masked);
    assert_int_equal(before.protected + before.open, 0);

    struct xt_tls_context *server = link_server();
    struct xt_tls_context *client = link_client("client", false);
    for (int i = 0; i < 3; i++) { /* it has signed */
        link_open(&link_, client, server, "localhost");
        link_pump(&link_, 4096);
        assert_int_equal(link_.server.handshake, XT_OK);
        link_close(&link_);
    }
    struct found now = look_for(masked);
    xt_tls_context_close(client);
    if (now.open == 0 && now.protected == 0) {
        print_error("the key was not found: it is kept in another form\n");
    }
    assert_int_equal(now.open, 0);
    assert_true(now.protected > 0);

    xt_tls_context_close(server);
    struct found after = look_for(masked);
    assert_int_equal(after.protected + after.open, 0);
}

static void keys_of_every_kind_serve(void **state)
{
    (void)state;
    static const char *const kinds[] = {"-algorithm RSA -pkeyopt rsa_keygen_bits:2048",
                                        "-algorithm EC -pkeyopt ec_paramgen_curve:P-384",
                                        "-algorithm EC -pkeyopt ec_paramgen_curve:P-256"};
    if (!have_openssl()) {
        skip();
    }
    struct xt_tls_context *client = link_client("client", false);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char text[SHELL_TEXT_MAX];
        bool made = scratch_shell(
            text,
            "openssl genpkey %s -out kind.key && chmod 600 kind.key && "
            "openssl req -new -key kind.key -subj /CN=kind -out kind.csr && "
            "printf 'subjectAltName=DNS:localhost\\nextendedKeyUsage=serverAuth\\n' > kind.ext && "
            "openssl x509 -req -in kind.csr -CA ca.crt -CAkey ca.key -days 1 -set_serial 5 "
            "-extfile kind.ext -out kind.crt",
            kinds[i]);
        if (!made) {
            print_error("%s\n", text);
        }
        assert_true(made);
        struct xt_tls_server_files files = {.certificate = scratch("kind.crt"),
                                            .key = scratch("kind.key"),
                                            .client_authority = scratch("ca.crt")};
        struct xt_tls_context *server;
        assert_int_equal(link_server_of(&files, NULL, &server, &failure), XT_OK);
        link_open(&link_, client, server, "localhost");
        link_pump(&link_, 4096);
        assert_int_equal(link_.server.handshake, XT_OK);
        link_close(&link_);
        xt_tls_context_close(server);
    }
    xt_tls_context_close(client);
}

static int set_up(void **state)
{
    int result = scratch_make(state);
    if (result == 0) {
        link_make_certificates();
    }
    return result;
}

/* ---- registers -------------------------------------------------------------------------------- */

#define COPIED 256 /* bytes: the C library copies as many through wide registers */

static uint8_t signal_stack[1 << 16], copied_from[COPIED], copied_to[COPIED];
static unsigned written_down;

/* The kernel has put every register on the stack that we run on. */
static void look_at_the_stack(int number)
{
    (void)number;
    for (size_t i = 0; i < COPIED; i += 16) {
        written_down += memmem(signal_stack, sizeof(signal_stack), copied_from + i, 16) != NULL;
    }
}

/* How much of a copied secret a signal right after it would leave on the stack. */
static unsigned left_after(void (*wipe)(void))
{
    static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
    memset(signal_stack, 0, sizeof(signal_stack));
    written_down = 0;
    xt_random(copied_from, sizeof(copied_from));
    copy(copied_to, copied_from, sizeof(copied_to));
    wipe();
    assert_int_equal(raise(SIGUSR1), 0);
    return written_down;
}

static void do_nothing(void)
{
}

static void wiped_registers_have_nothing_that_a_signal_could_write_down(void **state)
{
    (void)state;
    stack_t stack = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)}, before;
    struct sigaction action = {.sa_handler = look_at_the_stack, .sa_flags = SA_ONSTACK}, was;
    assert_int_equal(sigaltstack(&stack, &before), 0);
    assert_int_equal(sigaction(SIGUSR1, &action, &was), 0);
    unsigned left = left_after(do_nothing), wiped = left_after(xt_wipe_registers);
    assert_int_equal(sigaction(SIGUSR1, &was, NULL), 0);
    assert_int_equal(sigaltstack(&before, NULL), 0);
    print_message("%u of %u pieces were in registers before they were wiped\n", left, COPIED / 16);
    assert_int_equal(wiped, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_servers_key_lies_in_protected_memory_and_is_wiped),
        cmocka_unit_test(keys_of_every_kind_serve),
        cmocka_unit_test(wiped_registers_have_nothing_that_a_signal_could_write_down),
    };
    return cmocka_run_group_tests_name("crypto/memory", tests, set_up, scratch_remove);
}
