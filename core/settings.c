#include "core/settings.h"

#include "core/request.h"
#include "core/token.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>

enum kind { ADDRESS, TLS_VERSION, FILE_NAME, YES_NO, AUDIT_SYNC, ISSUER, COUNT, TIME };

/* One setting. `initial` is what init writes and what holds when the file does not say. */
struct setting {
    const char *section, *key;
    enum kind kind;
    size_t place; /* offset in struct xt_settings */
    const char *initial;
    uint32_t least, most; /* of COUNT, and of TIME in ms */
    const char *reason;   /* comment lines, without the "# " of the first */
};

#define PLACE(member) offsetof(struct xt_settings, member)
#define SECOND 1000U
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)

static const struct setting SETTINGS[] = {
    {"server", "listen", ADDRESS, PLACE(listen), "127.0.0.1:8443", 0, 0,
     "Where partners connect: address:port or [IPv6]:port. Port 0: the system picks one.\n"
     "# Loopback until you decide who may reach it."},
    {"server", "admin_listen", ADDRESS, PLACE(admin_listen), "127.0.0.1:9443", 0, 0,
     "Where the operator's /healthz and /readyz are, in plain HTTP. Keep it off networks that\n"
     "# partners can reach."},
    {"server", "tls_min_version", TLS_VERSION, PLACE(tls_min_version), "1.3", 0, 0,
     "1.3, or 1.2 while a partner's software cannot do better."},
    {"server", "workers", COUNT, PLACE(workers), "0", 0, 128,
     "Processes that answer, each with a loop of its own. 0: one for each processor that we may\n"
     "# run on."},
    {"server", "revocations", FILE_NAME, PLACE(revocations), "revoked.crl", 0, 0,
     "A file in this folder with revocation lists (CRL, PEM) of the clients' authorities; "
     "`xacthuc\n"
     "# partner revoke` writes this one. No such file: nothing is revoked. Empty: no lists at "
     "all."},
    {"server", "allow_older_generation", YES_NO, PLACE(allow_older_generation), "no", 0, 0,
     "yes: serve a generation older than the last one, when `current` was set back on purpose. A\n"
     "# restored folder would otherwise bring back people and cards that were struck out since."},
    {"server", "warm_up_rate", COUNT, PLACE(warm_up_rate), "256", 0, 65536,
     "MiB a second that are read of a register's pages once it is served, until all are in\n"
     "# memory: after a start of the machine each request would wait for the disk, some 0.1 ms.\n"
     "# 256: half a minute for the hot pages of a hundred million people, 55 s with links, and the "
     "disk\n"
     "# has time left for requests. 0: none, for a machine whose memory is smaller than the hot "
     "pages."},
    {"server", "warm_up_reserve", COUNT, PLACE(warm_up_reserve), "2048", 0, 16777216,
     "MiB of memory that have to be left for others, or only the hot pages are read: those that\n"
     "# nearly every lookup needs, and not those with links. So many that there cannot be as many "
     "left:\n"
     "# only the hot pages, always."},

    {"limits", "header_bytes", COUNT, PLACE(header_bytes), "8192", 1024, 65536,
     "Bytes of a request's line and headers. Ours are below 1 KiB; proxies add some."},
    {"limits", "header_fields", COUNT, PLACE(header_fields), "64", 8, 1024,
     "Header fields of a request."},
    {"limits", "body_bytes", COUNT, PLACE(body_bytes), "65536", 1024, XT_VERIFY_BODY_MAX,
     "Bytes of a request's body. A verify takes about 300; batches are streamed and not counted."},
    {"limits", "header_timeout", TIME, PLACE(header_ms), "10s", 100, 5 * MINUTE,
     "From a request's first byte to the end of its headers, however it trickles in."},
    {"limits", "body_timeout", TIME, PLACE(body_ms), "10s", 100, 5 * MINUTE,
     "From the end of the headers to the end of the body."},
    {"limits", "stream_timeout", TIME, PLACE(stream_ms), "30s", 100, 10 * MINUTE,
     "A body of lines that is answered line by line may take any time, but not this long without "
     "a\n"
     "# line taken or answered."},
    {"limits", "answer_timeout", TIME, PLACE(answer_ms), "10s", 100, 10 * MINUTE,
     "An answer that waits for the writer, or for a passcode's hash, is 503 outcome_unknown after\n"
     "# this. What was asked for may still be done, and is in the audit log then."},
    {"limits", "handshake_timeout", TIME, PLACE(handshake_ms), "5s", 100, MINUTE,
     "For a whole TLS handshake: it costs us more than the caller."},
    {"limits", "idle_timeout", TIME, PLACE(idle_ms), "75s", SECOND, HOUR,
     "A connection without a request. Longer than the 60 s after which common load balancers drop\n"
     "# one, so that they and not we close first."},
    {"limits", "connection_requests", COUNT, PLACE(connection_requests), "100000", 1, 100000000,
     "Requests before a connection is closed, so that load spreads again over workers."},
    {"limits", "connection_time", TIME, PLACE(connection_ms), "1h", MINUTE, 24 * HOUR,
     "Age at which a connection is closed: a certificate is checked again at the next handshake."},
    {"limits", "write_stall_timeout", TIME, PLACE(write_stall_ms), "10s", 100, 5 * MINUTE,
     "A caller that takes none of an answer for this long is cut off."},
    {"limits", "write_timeout", TIME, PLACE(write_ms), "60s", SECOND, HOUR,
     "A caller must have taken a whole answer within this time."},
    {"limits", "drain_timeout", TIME, PLACE(drain_ms), "30s", SECOND, 10 * MINUTE,
     "After SIGTERM: time for requests under way. Keep it below systemd's TimeoutStopSec."},
    {"limits", "connections", COUNT, PLACE(connections), "0", 0, 1000000,
     "Connections of one worker; the oldest idle one is closed first. 0: what RLIMIT_NOFILE\n"
     "# allows, less a reserve."},
    {"limits", "accepts_per_turn", COUNT, PLACE(accepts_per_turn), "16", 1, 10000,
     "New connections taken in one turn of the loop, so that a rush does not starve open ones."},
    {"limits", "handshakes_per_turn", COUNT, PLACE(handshakes_per_turn), "4", 1, 10000,
     "Steps of TLS handshakes (two make one) in one turn of the loop. A step takes about a tenth "
     "of\n"
     "# a millisecond, which everybody else waits; those over it wait in the order they came."},
    {"limits", "requests_per_turn", COUNT, PLACE(requests_per_turn), "8", 1, 10000,
     "Requests of one connection answered in one turn of the loop, with one write; those behind\n"
     "# them on the same connection wait until others had their turn. A signed answer counts for\n"
     "# four."},
    {"limits", "overload_turn", TIME, PLACE(overload_turn_ms), "1s", 1, MINUTE,
     "A turn of the loop that has lasted twice this long answers the rest of its requests 503 at\n"
     "# once: so nobody waits much longer, and a caller may ask elsewhere."},

    {"partners", "miss_alarm_percent", COUNT, PLACE(miss_alarm_percent), "50", 0, 100,
     "A partner of whose answers at least so many in a hundred matched in nothing is told in the\n"
     "# log (partner_misses_high): he may be trying numbers. 0: never. Answers do not change by "
     "it."},
    {"partners", "miss_alarm_min", COUNT, PLACE(miss_alarm_min), "1000", 1, 1000000000,
     "With fewer answers than these within the window nothing is told: a few say nothing."},
    {"partners", "miss_alarm_window", TIME, PLACE(miss_alarm_ms), "10m", 10 * SECOND, 24 * HOUR,
     "The time over which answers are counted, up to now; a partner is told of once in it."},

    {"tokens", "issuer", ISSUER, PLACE(token_issuer), "auto", 0, 0,
     "Who says so, in every token (iss): the URL that partners configure, https://name[:port]. "
     "auto:\n"
     "# the name in the server's certificate and the port of `listen`. Servers behind one name "
     "need "
     "the\n"
     "# same."},
    {"tokens", "lifetime", TIME, PLACE(token_ms), "10m", MINUTE, 15 * MINUTE,
     "How long an access token counts. Short: whoever checks only its signature does not hear that "
     "it\n"
     "# was revoked."},

    {"passcode", "memory", COUNT, PLACE(passcode_memory), "19", 7, 100,
     "MiB that hashing a passcode takes (Argon2id, one lane). What OWASP asks for at least, with "
     "two\n"
     "# passes. Hashes that cost less are made anew when their holder comes with his passcode."},
    {"passcode", "passes", COUNT, PLACE(passcode_passes), "2", 1, 10,
     "How often it goes over that memory; with 7 MiB, five times."},
    {"passcode", "threads", COUNT, PLACE(passcode_threads), "0", 0, 8,
     "Of each worker that hash, beside its loop and after everything else (SCHED_IDLE): each does\n"
     "# some 40 passcodes a second at these costs. 0: its share of the processors, at most 2: with "
     "fewer\n"
     "# workers than processors the others would stand still. A change takes a restart."},
    {"passcode", "answer_step", TIME, PLACE(passcode_step_ms), "1s", 0, 5 * SECOND,
     "An answer to somebody's passcode leaves at the next whole step after its request: how long "
     "his\n"
     "# hash takes, or that he has none, cannot be told from it. More than the dearest hash that "
     "is\n"
     "# imported takes (512 MiB times passes, some 0.5 s; 64 MiB three times, 0.2 s), and at most "
     "half\n"
     "# of answer_timeout. 0ms: at once."},
    {"passcode", "queue", COUNT, PLACE(passcode_queue), "16", 1, 256,
     "Passcodes of one worker that are hashed or wait for it; more, or more than half of them of "
     "one\n"
     "# partner, are 503 at once. 16: nobody waits for more than half a second, but behind hashes\n"
     "# that cost more."},

    {"audit", "sync", AUDIT_SYNC, PLACE(audit_sync), "interval", 0, 0,
     "When the disk must have an answer's entry; no answer leaves before the entry is written to "
     "its\n"
     "# file. interval: at most 10 ms later, so a crash of the server loses none, and one of the\n"
     "# machine the last 10 ms. answer: before the answer leaves, in groups; answers then wait "
     "for\n"
     "# the disk."},
    {"audit", "segment_size", COUNT, PLACE(audit_segment_size), "256", 1, 65536,
     "MiB at which a worker goes on in another file; it does so each day as well (UTC)."},
    {"audit", "retention_days", COUNT, PLACE(audit_retention), "0", 0, 36500,
     "Days after which whole files of the log are removed, with a signed note of each. No law "
     "names\n"
     "# a number for everybody: decide before you set it. 0: never, only by `xacthuc audit "
     "expire`."},
};
#define SETTING_COUNT (sizeof SETTINGS / sizeof SETTINGS[0])

static const char *const SECTIONS[][2] = {
    {"server", "Where the server listens and what it speaks."},
    {"limits", "What one caller may cost. Sizes and counts are whole numbers; times have a unit: "
               "ms, s, m, h."},
    {"partners", "When the operator hears of a partner."},
    {"tokens", "Access tokens that citizens' authentications are answered with."},
    {"passcode", "What hashing a passcode costs, the attacker and us."},
    {"audit", "The log of every answer (see README, audit log)."},
};

/* Digits only, no sign, no leading zero. Gives what follows them, NULL when there are none or too
 * many. */
static const char *parse_digits(const char *text, uint64_t *value)
{
    size_t length = strspn(text, "0123456789");
    *value = 0;
    if (length == 0 || length > 10 || (text[0] == '0' && length > 1)) {
        return NULL;
    }
    for (size_t i = 0; i < length; i++) {
        *value = *value * 10 + (uint64_t)(text[i] - '0');
    }
    return text + length;
}

static bool parse_time(const char *text, uint64_t *ms)
{
    static const struct {
        const char *unit;
        uint32_t ms;
    } UNITS[] = {{"ms", 1}, {"s", SECOND}, {"m", MINUTE}, {"h", HOUR}};
    const char *unit = parse_digits(text, ms);
    for (size_t i = 0; unit != NULL && i < sizeof UNITS / sizeof UNITS[0]; i++) {
        if (strcmp(unit, UNITS[i].unit) == 0) {
            *ms *= UNITS[i].ms;
            return true;
        }
    }
    return false;
}

/* The largest unit that divides it. */
static void format_time(uint32_t ms, char *text, size_t size)
{
    if (ms % HOUR == 0) {
        (void)snprintf(text, size, "%uh", ms / HOUR);
    } else if (ms % MINUTE == 0) {
        (void)snprintf(text, size, "%um", ms / MINUTE);
    } else if (ms % SECOND == 0) {
        (void)snprintf(text, size, "%us", ms / SECOND);
    } else {
        (void)snprintf(text, size, "%ums", ms);
    }
}

/* address:port or [v6]:port; numbers only, names would need a resolver. */
static bool is_address(const char *text)
{
    char host[XT_SETTING_STRING_MAX];
    uint8_t bytes[16];
    uint64_t port = 0;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strlen(text) >= sizeof host) {
        return false;
    }
    const char *rest = parse_digits(colon + 1, &port);
    if (rest == NULL || *rest != '\0' || port > 65535) {
        return false;
    }
    size_t length = (size_t)(colon - text);
    bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    memcpy(host, text + brackets, length - 2U * brackets);
    host[length - 2U * brackets] = '\0';
    return inet_pton(brackets ? AF_INET6 : AF_INET, host, bytes) == 1;
}

/* A path that stays below the deployment; "" is none. */
static bool is_file_name(const char *text)
{
    size_t length = strlen(text);
    for (const char *part = text; length > 0;) {
        size_t size = strcspn(part, "/");
        if (size == 0 || (size == 1 && part[0] == '.') ||
            (size == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        if (part[size] == '\0') {
            break;
        }
        part += size + 1;
    }
    return length < XT_SETTING_STRING_MAX;
}

static bool is_issuer(const char *text)
{
    static const char scheme[] = "https://";
    return strcmp(text, "auto") == 0 ||
           (strncmp(text, scheme, sizeof scheme - 1) == 0 &&
            xt_token_text_is_valid(xt_span_of_string(text)) && strpbrk(text, "?#") == NULL &&
            text[strlen(text) - 1] != '/');
}

static void set_string(struct xt_settings *settings, const struct setting *setting, size_t size,
                       const char *value)
{
    (void)snprintf((char *)settings + setting->place, size, "%s", value);
}

static void set_integer(struct xt_settings *settings, const struct setting *setting, uint32_t value)
{
    memcpy((char *)settings + setting->place, &value, sizeof value);
}

static enum xt_status set_bounded(struct xt_settings *settings, const struct setting *setting,
                                  const char *value, struct xt_failure *failure)
{
    uint64_t number = 0;
    const char *rest = setting->kind == COUNT ? parse_digits(value, &number) : NULL;
    bool reads = setting->kind == TIME ? parse_time(value, &number) : rest != NULL && *rest == '\0';
    if (reads && number >= setting->least && number <= setting->most) {
        set_integer(settings, setting, (uint32_t)number);
        return XT_OK;
    }
    if (setting->kind == COUNT) {
        return xt_fail(failure, XT_INVALID,
                       "[%s] %s must be a whole number from %" PRIu32 " to %" PRIu32,
                       setting->section, setting->key, setting->least, setting->most);
    }
    char least[16];
    char most[16];
    format_time(setting->least, least, sizeof least);
    format_time(setting->most, most, sizeof most);
    return xt_fail(failure, XT_INVALID,
                   "[%s] %s must be a whole number with its unit (ms, s, m or h) from %s to %s",
                   setting->section, setting->key, least, most);
}

static enum xt_status set(struct xt_settings *settings, const struct setting *setting,
                          const char *value, struct xt_failure *failure)
{
    switch (setting->kind) {
    case ADDRESS:
        if (!is_address(value)) {
            return xt_fail(failure, XT_INVALID,
                           "[%s] %s must be an IPv4 address and a port (127.0.0.1:8443) or an "
                           "IPv6 one ([::1]:8443)",
                           setting->section, setting->key);
        }
        set_string(settings, setting, XT_SETTING_STRING_MAX, value);
        return XT_OK;
    case FILE_NAME:
        if (!is_file_name(value)) {
            return xt_fail(failure, XT_INVALID,
                           "[%s] %s must be a file below this folder, or empty", setting->section,
                           setting->key);
        }
        set_string(settings, setting, XT_SETTING_STRING_MAX, value);
        return XT_OK;
    case ISSUER:
        if (!is_issuer(value)) {
            return xt_fail(failure, XT_INVALID,
                           "[%s] %s must be https://name, without ?, # or a / at its end, of at "
                           "most %u characters; or auto",
                           setting->section, setting->key, XT_TOKEN_TEXT_MAX);
        }
        set_string(settings, setting, XT_SETTING_STRING_MAX, value);
        return XT_OK;
    case YES_NO:
        if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0) {
            return xt_fail(failure, XT_INVALID, "[%s] %s must be yes or no", setting->section,
                           setting->key);
        }
        set_integer(settings, setting, strcmp(value, "yes") == 0);
        return XT_OK;
    case AUDIT_SYNC:
        if (strcmp(value, "interval") != 0 && strcmp(value, "answer") != 0) {
            return xt_fail(failure, XT_INVALID, "[%s] %s must be interval or answer",
                           setting->section, setting->key);
        }
        set_string(settings, setting, sizeof settings->audit_sync, value);
        return XT_OK;
    case TLS_VERSION:
        if (strcmp(value, "1.3") != 0 && strcmp(value, "1.2") != 0) {
            return xt_fail(failure, XT_INVALID, "[%s] %s must be 1.3 or 1.2", setting->section,
                           setting->key);
        }
        set_string(settings, setting, sizeof settings->tls_min_version, value);
        return XT_OK;
    default:
        return set_bounded(settings, setting, value, failure);
    }
}

void xt_settings_defaults(struct xt_settings *settings)
{
    memset(settings, 0, sizeof *settings);
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        xt_require(set(settings, &SETTINGS[i], SETTINGS[i].initial, NULL) == XT_OK);
    }
}

enum xt_status xt_settings_set(struct xt_settings *settings, const char *section, const char *key,
                               const char *value, struct xt_failure *failure)
{
    for (size_t i = 0; i < SETTING_COUNT; i++) {
        if (strcmp(SETTINGS[i].section, section) == 0 && strcmp(SETTINGS[i].key, key) == 0) {
            return set(settings, &SETTINGS[i], value, failure);
        }
    }
    return xt_fail(failure, XT_NOT_FOUND,
                   "[%.64s] %.64s is not a setting; `xacthuc init` writes a file with all of them",
                   section, key);
}

/* A hash that takes longer than one step is answered at the next. */
enum xt_status xt_settings_check(const struct xt_settings *settings, struct xt_failure *failure)
{
    return settings->passcode_step_ms <= settings->answer_ms / 2
               ? XT_OK
               : xt_fail(failure, XT_INVALID,
                         "[passcode] answer_step must be at most half of [limits] answer_timeout: "
                         "else nobody's passcode is answered in time");
}

static void write_bounds(struct xt_writer *writer, const struct setting *setting)
{
    char line[64];
    if (setting->kind == COUNT) {
        (void)snprintf(line, sizeof line, "# %" PRIu32 " to %" PRIu32 ".\n", setting->least,
                       setting->most);
    } else {
        char least[16];
        char most[16];
        format_time(setting->least, least, sizeof least);
        format_time(setting->most, most, sizeof most);
        (void)snprintf(line, sizeof line, "# %s to %s.\n", least, most);
    }
    xt_write_string(writer, line);
}

void xt_settings_write_default(struct xt_writer *writer)
{
    xt_write_literal(writer,
                     "# Settings of this deployment. What is left out has the value shown here.\n"
                     "# Read when the server starts, and again at SIGHUP but for listen,\n"
                     "# admin_listen and workers.\n");
    for (size_t s = 0; s < sizeof SECTIONS / sizeof SECTIONS[0]; s++) {
        xt_write_literal(writer, "\n# ");
        xt_write_string(writer, SECTIONS[s][1]);
        xt_write_literal(writer, "\n[");
        xt_write_string(writer, SECTIONS[s][0]);
        xt_write_literal(writer, "]\n");
        for (size_t i = 0; i < SETTING_COUNT; i++) {
            const struct setting *setting = &SETTINGS[i];
            if (strcmp(setting->section, SECTIONS[s][0]) != 0) {
                continue;
            }
            xt_write_literal(writer, "\n# ");
            xt_write_string(writer, setting->reason);
            xt_write_literal(writer, "\n");
            if (setting->kind == COUNT || setting->kind == TIME) {
                write_bounds(writer, setting);
            }
            xt_write_string(writer, setting->key);
            xt_write_literal(writer, " = ");
            xt_write_string(writer, setting->initial);
            xt_write_literal(writer, "\n");
        }
    }
}
