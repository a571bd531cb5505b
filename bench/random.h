/* bench/random: numbers that look random and are the same everywhere, from integers only.
 *
 * xt_mix is the finaliser of SplitMix64 (Steele, Lea, Flood 2014); a stream is SplitMix64 itself, so
 * that stream number i of a key is reached without running through the others.
 * Not for secrets.
 */
#ifndef XT_BENCH_RANDOM_H
#define XT_BENCH_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

#define XT_GOLDEN 0x9E3779B97F4A7C15U /* 2^64 divided by the golden ratio, odd */

static inline uint64_t xt_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31);
}

/* Value number `index` of `key`. */
static inline uint64_t xt_hash(uint64_t key, uint64_t index)
{
    return xt_mix(key + (index + 1) * XT_GOLDEN);
}

/* 0 ... bound - 1 out of the upper half of a hash; the bias is below bound / 2^32. */
static inline uint32_t xt_scale(uint64_t hash, uint32_t bound)
{
    return (uint32_t)(((hash >> 32) * bound) >> 32);
}

/* True for `share` out of 10,000. */
static inline bool xt_chance(uint64_t hash, uint32_t share)
{
    return xt_scale(hash, 10000) < share;
}

struct xt_stream {
    uint64_t state;
};

static inline struct xt_stream xt_stream_of(uint64_t key, uint64_t index)
{
    return (struct xt_stream){.state = xt_hash(key, index)};
}

static inline uint64_t xt_stream_next(struct xt_stream *stream)
{
    stream->state += XT_GOLDEN;
    return xt_mix(stream->state);
}

static inline uint32_t xt_stream_below(struct xt_stream *stream, uint32_t bound)
{
    return xt_scale(xt_stream_next(stream), bound);
}

static inline bool xt_stream_chance(struct xt_stream *stream, uint32_t share)
{
    return xt_chance(xt_stream_next(stream), share);
}

#endif
