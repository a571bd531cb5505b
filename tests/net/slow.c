/* tests/net/slow: many slow clients WITH certificates, which slowhttptest cannot be: what its modes H, B
 * and X do, over mutual TLS. Not a test: it measures, and whoever runs it judges.
 *
 *   slow head|body|read|idle HOST-PORT CERT KEY CA CONNECTIONS RATE SECONDS
 *
 *   head   a byte of a field every 2 s, without end          (slowhttptest -H)
 *   body   a byte of a body every 2 s                        (slowhttptest -B)
 *   read   20 answers of 9 KiB asked for, 5 bytes read a second through a small window (-X)
 *   idle   a handshake, then nothing
 *
 * Opens RATE connections a second and prints, each second, how many are open and how many the server has
 * ended (an answer or a reset counts as the end), until all have been or SECONDS are over. Exit status 0:
 * all were. Connections are counted as ended when the server's FIN or RST is there. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>

#include "crypto/keyring.h"
#include "tests/client.h"

enum mode { HEAD, BODY, READ, IDLE, MODES };
static const char *const mode_names[MODES] = {"head", "body", "read", "idle"};

struct slow {
    enum mode mode;
    struct test_client_options options;
    struct test_client **clients; /* NULL: not opened yet, or ended */
    unsigned wanted, opened, refused, ended;
    double *born, longest;
};

static double now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static bool begin(struct slow *slow, struct test_client *client)
{
    static const char get[] = "GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n";
    int small = 2048;
    switch (slow->mode) {
    case HEAD:
        return test_client_send_text(client, "GET /openapi.json HTTP/1.1\r\nHost: a\r\nX-Slow: ");
    case BODY:
        return test_client_send_text(client, "POST /v1/verify HTTP/1.1\r\nHost: a\r\n"
                                             "Content-Type: application/json\r\n"
                                             "Content-Length: 4096\r\n\r\n");
    case READ:
        if (setsockopt(test_client_socket(client), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) !=
            0) {
            return false;
        }
        for (unsigned i = 0; i < 20; i++) {
            if (!test_client_send(client, get, sizeof(get) - 1)) {
                return false;
            }
        }
        return true;
    case IDLE:
    case MODES:
        break;
    }
    return true;
}

static void open_some(struct slow *slow, unsigned until)
{
    char error[TEST_ERROR_MAX];
    for (; slow->opened < until && slow->opened < slow->wanted; slow->opened++) {
        struct test_client *client = test_client_open(&slow->options, error);
        if (client == NULL || !begin(slow, client)) {
            slow->refused++;
            test_client_close(client);
            continue;
        }
        slow->clients[slow->opened] = client;
        slow->born[slow->opened] = now_s();
    }
}

/* Whether the server has ended it. In mode read only a few bytes are taken, so that its end may stand
 * behind bytes that we never come to. */
static bool has_ended(const struct slow *slow, struct test_client *client)
{
    static uint8_t bytes[65536];
    struct pollfd entry = {.fd = test_client_socket(client), .events = POLLRDHUP};
    if (poll(&entry, 1, 0) > 0) {
        return true;
    }
    ssize_t got = recv(entry.fd, bytes, slow->mode == READ ? 5 : sizeof(bytes), MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

static void tick(struct slow *slow, bool drip)
{
    double now = now_s();
    for (unsigned i = 0; i < slow->opened; i++) {
        struct test_client *client = slow->clients[i];
        if (client == NULL) {
            continue;
        }
        bool ended = has_ended(slow, client);
        if (!ended && drip && slow->mode != IDLE) {
            ended =
                !test_client_send(client, "a", 1); /* in mode read: of a request that is not read */
        }
        if (ended) {
            double life = now - slow->born[i];
            slow->longest = life > slow->longest ? life : slow->longest;
            slow->ended++;
            slow->clients[i] = NULL;
            test_client_close(client);
        }
    }
}

static int run(struct slow *slow, double rate, double seconds)
{
    double start = now_s();
    for (unsigned second = 0;; second++) {
        for (double until = start + second + 1; now_s() < until;) {
            double goal = (now_s() - start) * rate;
            open_some(slow, goal < slow->wanted ? (unsigned)goal : slow->wanted);
            nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        }
        tick(slow, second % 2 == 1);
        unsigned open = slow->opened - slow->refused - slow->ended;
        printf("%3u s  opened %u  refused %u  open %u  ended %u  longest life %.1f s\n", second + 1,
               slow->opened, slow->refused, open, slow->ended, slow->longest);
        fflush(stdout);
        if (slow->opened == slow->wanted && open == 0) {
            return 0;
        }
        if (now_s() - start > seconds) {
            return 1;
        }
    }
}

int main(int argc, char **argv)
{
    struct slow slow = {.mode = MODES};
    for (unsigned mode = 0; argc == 9 && mode < MODES; mode++) {
        slow.mode = strcmp(argv[1], mode_names[mode]) == 0 ? (enum mode)mode : slow.mode;
    }
    const char *colon = argc == 9 ? strrchr(argv[2], ':') : NULL;
    if (slow.mode == MODES || colon == NULL) {
        fprintf(stderr,
                "usage: slow head|body|read|idle 127.0.0.1:PORT CERT KEY CA CONNECTIONS RATE "
                "SECONDS\n");
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    xt_crypto_start();
    struct xt_failure failure;
    struct xt_tls_client_files tls = {
        .certificate = argv[3], .key = argv[4], .server_authority = argv[5]};
    slow.options.port = (unsigned)strtoul(colon + 1, NULL, 10);
    slow.options.timeout_ms = 10000;
    slow.wanted = (unsigned)strtoul(argv[6], NULL, 10);
    slow.clients = calloc(slow.wanted, sizeof(struct test_client *));
    slow.born = calloc(slow.wanted, sizeof(double));
    if (slow.clients == NULL || slow.born == NULL ||
        xt_tls_client(&tls, &slow.options.context, &failure) != XT_OK) {
        fprintf(stderr, "slow: cannot start\n");
        return 1;
    }
    int status = run(&slow, strtod(argv[7], NULL), strtod(argv[8], NULL));
    for (unsigned i = 0; i < slow.wanted; i++) {
        test_client_close(slow.clients[i]);
    }
    xt_tls_context_close(slow.options.context);
    free(slow.clients);
    free(slow.born);
    return status;
}
