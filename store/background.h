/* store/background: long work on a machine that also answers: compact, import, check, backup.
 *
 * Such a process is of the scheduler's idle class, so that whoever answers has every processor as soon as he
 * wants it. Not every kernel does that at once: one without preemption, the usual build for servers, takes a
 * processor from a program that computes only at a tick of its clock, up to 4 ms later, and a verify that waits for
 * that is ten times as slow as one alone. So loops that compute give the processor up by themselves, as
 * often as XT_YIELD_NS, which costs less than a hundredth of their time.
 *
 * On a machine whose processors are all busy the idle class gets next to nothing: such work waits.
 */
#ifndef XT_STORE_BACKGROUND_H
#define XT_STORE_BACKGROUND_H

#define XT_YIELD_NS 50000U /* what somebody who answers may lose to a loop */

/* From now on this process works in the background, with all threads that it starts; and its reads and writes of
 * the disk come after those of others where the disk's scheduler knows of that. Refused it goes on as it was. */
void xt_background_enter(void);

/* In a loop, every few microseconds of work: gives way to whoever waits. Costs the look at a clock; nothing is done
 * where this thread is not in the background. */
void xt_background_yield(void);

/* The file's pages that are not on the disk yet go there now, and it is waited for those of before: a disk that
 * others wait for has never much to do at once. Only in the background; failures show when the file is synced. */
void xt_background_write_out(int fd);

#endif
