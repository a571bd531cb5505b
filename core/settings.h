/* core/settings: every setting of DIR/xacthuc.conf, its default, its bounds and its reason, in one
 * table; `xacthuc init` writes the commented file from it and the server reads values through it. */
#ifndef XT_CORE_SETTINGS_H
#define XT_CORE_SETTINGS_H

#include "core/span.h"
#include "core/status.h"

#define XT_SETTINGS_TEXT_MAX 16384 /* bytes of the default file */
#define XT_SETTING_STRING_MAX 256

struct xt_settings {
    /* [server] */
    char listen[XT_SETTING_STRING_MAX];       /* address:port, [v6]:port */
    char admin_listen[XT_SETTING_STRING_MAX]; /* loopback by default */
    char tls_min_version[8];                  /* "1.3" or "1.2" */
    char revocations[XT_SETTING_STRING_MAX];  /* a file below DIR; "": none */
    uint32_t workers;                         /* 0: one for each processor */
    uint32_t allow_older_generation;          /* 0 or 1 */
    uint32_t warm_up_rate;                    /* MiB a second; 0: none */
    uint32_t warm_up_reserve;                 /* MiB */
    /* [limits]: bytes, counts, milliseconds */
    uint32_t header_bytes, header_fields, body_bytes;
    uint32_t header_ms, body_ms, stream_ms, answer_ms, handshake_ms, idle_ms;
    uint32_t connection_requests, connection_ms;
    uint32_t write_stall_ms, write_ms, drain_ms;
    uint32_t connections; /* 0: from RLIMIT_NOFILE less a reserve */
    uint32_t accepts_per_turn, handshakes_per_turn, requests_per_turn;
    uint32_t overload_turn_ms;
    /* [partners] */
    uint32_t miss_alarm_percent; /* 0: none */
    uint32_t miss_alarm_min;     /* answers */
    uint32_t miss_alarm_ms;      /* the window */
    /* [tokens] */
    char token_issuer
        [XT_SETTING_STRING_MAX]; /* an https URL; "auto": from the server's certificate */
    uint32_t token_ms;           /* how long one counts */
    /* [passcode] */
    uint32_t passcode_memory, passcode_passes; /* MiB; over it */
    uint32_t passcode_threads, passcode_queue; /* of a worker; threads 0: by the processors */
    uint32_t passcode_step_ms;                 /* 0: answers do not wait for one */
    /* [audit] */
    char audit_sync[16];         /* "interval" or "answer" */
    uint32_t audit_segment_size; /* MiB */
    uint32_t audit_retention;    /* days; 0: for ever */
};

/* In the file, sizes and counts are plain whole numbers, times a whole number with its unit: 250ms,
 * 10s, 5m, 1h. */
void xt_settings_defaults(struct xt_settings *settings);

/* One "key = value" of a section. XT_NOT_FOUND: no such setting; XT_INVALID: out of its bounds. Both
 * fill *failure with a line that names the setting and what is allowed. */
XT_MUST_USE enum xt_status xt_settings_set(struct xt_settings *settings, const char *section,
                                           const char *key, const char *value,
                                           struct xt_failure *failure);

/* Whether they can be in force together. XT_INVALID: *failure names those that cannot. */
XT_MUST_USE enum xt_status xt_settings_check(const struct xt_settings *settings,
                                             struct xt_failure *failure);

/* The commented INI text with every setting and its default. XT_SETTINGS_TEXT_MAX is enough. */
void xt_settings_write_default(struct xt_writer *writer);

#endif
