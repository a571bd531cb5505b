/* crypto/memory: where private keys live, and who may look at this process's memory.
 *
 * BoringSSL asks here for every allocation it makes. What it asks for between xt_key_memory_begin and
 * xt_key_memory_end of this thread lies in locked memory, in no core dump, between guard pages; the
 * rest comes from malloc. Everything is wiped when it is given back. (A BoringSSL that is a shared
 * library does not see these functions and keeps its own: then keys lie in plain memory, wiped too.)
 *
 * Why not lock the whole process: it maps generations of many gigabytes, and what is locked counts
 * against RLIMIT_MEMLOCK, 8 MiB by default. The keys take some ten pages.
 */
#ifndef XT_CRYPTO_MEMORY_H
#define XT_CRYPTO_MEMORY_H

/* Internal to crypto/. */
void xt_key_memory_begin(void);
void xt_key_memory_end(void);

/* For a process that holds keys or people, before it reads any: it leaves no core dump, and no other
 * process of the same user may read its memory (not dumpable: prctl(2), proc(5)). */
void xt_process_hide_memory(void);

#endif
