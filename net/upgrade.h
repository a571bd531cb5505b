/* net/upgrade: SIGUSR2: the program that now lies under our name takes over, and no client notices.
 *
 *   the one that runs                         the heir (started with --take-over)
 *     SIGUSR2: starts it ------------------->   reads and checks everything itself
 *     TAKE_OVER: sockets, ticket seed ------>   starts its workers on the same sockets
 *                                               (now both answer: the queues are the same)
 *     <------------------------------ UPGRADED  all of them serve
 *     MAINPID to the service manager
 *     TAKEN -------------------------------->   READY to the service manager; goes on alone
 *     drains its workers and ends
 *
 * If the heir ends, says nothing for XT_UPGRADE_LIMIT_MS or closes the channel before UPGRADED, it is
 * killed, `upgrade_failed` is logged, and everything is as before. If the one before ends first, the
 * heir goes on: somebody must.
 * What passes is the listening sockets and the ticket seed, so that sessions are resumed. Settings,
 * certificates and partners are read again, and once more when it goes on alone: SIGHUP and what was
 * written meanwhile are not lost. A revocation list that was in force must be there. The addresses and the number of workers stay as they were,
 * since clients wait in these very sockets. Rates and counters begin anew.
 * The functions of both sides stand in net/supervisor_internal.h.
 */
#ifndef XT_NET_UPGRADE_H
#define XT_NET_UPGRADE_H

#define XT_UPGRADE_VERSION 2
#define XT_UPGRADE_LIMIT_MS 60000
#define XT_UPGRADE_OPTION "--take-over" /* of `serve`; not for operators */

#endif
