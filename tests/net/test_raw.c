/* Every case of tests/net/raw_cases.h over the exchange alone, in one piece, split in two at every
 * byte, and byte by byte: the answers must be the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/net/rig.h"
#include "tests/test.h"

/* Everything about answers is the same however the request was split, but the random answer_id. */
static void mask_answer_ids(struct play *play)
{
    static const char key[] = "\"answer_id\":\"";
    uint8_t *at = play->output, *end = play->output + play->output_size;
    while ((at = memmem(at, (size_t)(end - at), key, sizeof(key) - 1)) != NULL) {
        at += sizeof(key) - 1;
        assert_true(end - at > XT_ANSWER_ID && at[XT_ANSWER_ID] == '"');
        memset(at, '-', XT_ANSWER_ID);
    }
}

/* The answers to a case in one piece. */
static uint8_t whole[1U << 20];
static size_t whole_size;

static void play_pieces(const struct raw_case *c, const uint8_t *bytes, size_t size, size_t first,
                        size_t step)
{
    struct play play;
    char statuses[4096];
    play_open(&play, true);
    for (size_t at = 0; at < size && !play.closed;) {
        size_t piece = at == 0 && first > 0 ? first : step;
        piece = piece < size - at ? piece : size - at;
        play_feed(&play, bytes + at, piece);
        at += piece;
    }
    mask_answer_ids(&play);
    (void)read_statuses(play.output, play.output_size, bytes, statuses, sizeof(statuses));
    if (strcmp(statuses, c->statuses) != 0 || play.closed != c->closes) {
        fail_msg("%s (first piece %zu, then %zu): [%s]%s, expected [%s]%s", c->name, first, step,
                 statuses, play.closed ? " closed" : "", c->statuses, c->closes ? " closed" : "");
    }
    if (step == size && first == 0) {
        memcpy(whole, play.output, play.output_size);
        whole_size = play.output_size;
    } else if (play.output_size != whole_size || memcmp(whole, play.output, whole_size) != 0) {
        fail_msg("%s (first piece %zu, then %zu): other bytes than in one piece", c->name, first,
                 step);
    }
    play_close(&play);
}

static void raw_case_is_answered_the_same_however_it_is_split(void **state)
{
    const struct raw_case *c = *state;
    size_t size = 0;
    uint8_t *bytes = raw_case_bytes(c, &size);
    play_pieces(c, bytes, size, 0, size);
    play_pieces(c, bytes, size, 1, 1);
    play_pieces(c, bytes, size, 0, 7);
    /* Long ones are long in one place: splits near both ends, and a sample between. */
    size_t step = size > 4096 ? size / 1024 : 1;
    for (size_t split = 1; split < size; split += split < 512 || size - split < 512 ? 1 : step) {
        play_pieces(c, bytes, size, split, size);
    }
    free(bytes);
}

int main(void)
{
    struct CMUnitTest *tests = calloc(raw_case_count, sizeof(*tests));
    if (tests == NULL) {
        return 1;
    }
    for (size_t i = 0; i < raw_case_count; i++) {
        union {
            const void *from;
            void *to;
        } c = {.from = &raw_cases[i]};
        tests[i] =
            (struct CMUnitTest){.name = raw_cases[i].name,
                                .test_func = raw_case_is_answered_the_same_however_it_is_split,
                                .initial_state = c.to};
    }
    int failed = _cmocka_run_group_tests("raw", tests, raw_case_count, rig_open, rig_close);
    free(tests);
    return failed;
}
