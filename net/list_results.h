/* net/list_results: the file that the answers to a list are written to, line by line, in its order.
 *
 *   LIST.results.csv.state   which list it is of, and how many bytes are certainly on the disk
 *   LIST.results.csv.part    the results so far
 *   LIST.results.csv         all of them: the part, renamed
 *
 * Who opens the part of an interrupted run takes up its results: a last line that is torn, or what a power
 * cut left behind the bytes that are certain, is cut off; the lines of the list that have results are passed
 * over, and counted. So every line has one result, whenever the process ends, and only lines whose answers
 * were on their way are asked again.
 * Mode 0600: results are about people. One process at a time (flock).
 * Thread: one.
 */
#ifndef XT_NET_LIST_RESULTS_H
#define XT_NET_LIST_RESULTS_H

#include "core/status.h"
#include "net/list_count.h"
#include "net/list_input.h"
#include "net/list_line.h"
#include "store/progress.h"

struct xt_list_results;

/* Takes up what is there: the next line of input is then the first without a result. fingerprint: of the list
 * and of how it is asked. XT_EXISTS: the results are whole already; XT_BUSY: somebody writes them; XT_INVALID:
 * the part is of another list, or of other options. */
XT_MUST_USE enum xt_status xt_list_results_open(const char *path, const uint8_t fingerprint[32],
                                                struct xt_list_input *input,
                                                struct xt_progress *progress,
                                                struct xt_list_results **results,
                                                struct xt_failure *failure);
/* What was written stays for the next time. */
void xt_list_results_close(struct xt_list_results *results);

/* Of all lines that have results; the caller adds what flags tell. */
struct xt_list_counts *xt_list_results_counts(struct xt_list_results *results);
/* How many lines there were when it was opened. */
uint64_t xt_list_results_taken_up(const struct xt_list_results *results);

/* The result of the next line; read: the answer read, with memory of its own or of the server's text. */
XT_MUST_USE enum xt_status xt_list_results_add(struct xt_list_results *results,
                                               const struct xt_list_row *row, struct xt_span answer,
                                               struct xt_list_answer *read,
                                               struct xt_failure *failure);
/* Hands it to the system: it stays when this process is killed. */
XT_MUST_USE enum xt_status xt_list_results_write(struct xt_list_results *results,
                                                 struct xt_failure *failure);
/* And to the disk: it stays when the power goes. */
XT_MUST_USE enum xt_status xt_list_results_sync(struct xt_list_results *results,
                                                struct xt_failure *failure);
/* All lines have results. */
XT_MUST_USE enum xt_status xt_list_results_finish(struct xt_list_results *results,
                                                  struct xt_failure *failure);

#endif
