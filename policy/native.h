/* Vectors of numbers and what kernels do with them, in plain C with the vector extensions that GCC and Clang share. */
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

#define LANES 16
#define UNROLL _Pragma("GCC unroll 8")
#define INLINE static inline __attribute__((always_inline))

typedef float Floats __attribute__((vector_size(4 * LANES)));
typedef int32_t Ints __attribute__((vector_size(4 * LANES)));
typedef uint32_t Words __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));
typedef double Doubles __attribute__((vector_size(8 * LANES)));

#ifdef __AVX512F__ /* 32 registers of 16 numbers */
#define QUERIES 8
#else
#define QUERIES 4
#endif

/* Numbers are float32 or, with `half`, bfloat16; computed is in float32. */

INLINE float number(const void *from, int64_t at, int half) {
    if (!half) return ((const float *)from)[at];
    uint32_t word = (uint32_t)((const uint16_t *)from)[at] << 16;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

INLINE void put(void *to, int64_t at, float value, int half) {
    if (!half) {
        ((float *)to)[at] = value;
        return;
    }
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    ((uint16_t *)to)[at] = (uint16_t)((word + 0x7fff + ((word >> 16) & 1)) >> 16); /* to the nearest, ties to even */
}

INLINE Floats load(const void *from, int64_t at, int half) {
    Floats value;
    if (half) {
#ifdef __AVX512F__ /* GCC takes what follows apart into halves */
        const __m256i halves = _mm256_loadu_si256((const __m256i *)((const uint16_t *)from + at));
        return (Floats)_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16);
#else
        Halves halves;
        memcpy(&halves, (const uint16_t *)from + at, sizeof halves);
        Words words = __builtin_convertvector(halves, Words) << 16;
        memcpy(&value, &words, sizeof value);
#endif
    } else {
        memcpy(&value, (const float *)from + at, sizeof value);
    }
    return value;
}

INLINE void store(void *to, int64_t at, Floats value, int half) {
    if (!half) {
        memcpy((float *)to + at, &value, sizeof value);
        return;
    }
    Words words;
    memcpy(&words, &value, sizeof words);
    words = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
#ifdef __AVX512F__
    _mm256_storeu_si256((__m256i *)((uint16_t *)to + at), _mm512_cvtepi32_epi16((__m512i)words));
#else
    Halves halves = __builtin_convertvector(words, Halves);
    memcpy((uint16_t *)to + at, &halves, sizeof halves);
#endif
}

INLINE Floats chosen(Ints mask, Floats yes, Floats no) { return (Floats)(((Ints)yes & mask) | ((Ints)no & ~mask)); }

INLINE Floats greater(Floats a, Floats b) { return chosen(a > b, a, b); }

/* e^x for x <= 0 to two units in the last place: 2^n e^r with |r| <= ln 2 / 2, and Taylor's polynomial for e^r. */
INLINE Floats exponential(Floats x) {
    x = greater(x, (Floats){0} - 87.0f);
    Floats shifted = x * 1.44269504f + 12582912.0f; /* adding 1.5 * 2^23 rounds to an integer, in the low bits */
    Floats n = shifted - 12582912.0f;
    Floats r = x - n * 0.693359375f + n * 2.12194440e-4f;
    Floats e = r * (1.0f / 720.0f) + 1.0f / 120.0f;
    e = e * r + 1.0f / 24.0f;
    e = e * r + 1.0f / 6.0f;
    e = e * r + 0.5f;
    e = e * r + 1.0f;
    e = e * r + 1.0f;
    return (Floats)((Ints)e + ((Ints)shifted << 23));
}

#ifdef __AVX512F__
INLINE float highest(Floats x) { return _mm512_reduce_max_ps((__m512)x); }

INLINE float total(Floats x) { return _mm512_reduce_add_ps((__m512)x); }
#else
INLINE float highest(Floats x) {
    float most = x[0];
    for (int lane = 1; lane < LANES; lane++) most = x[lane] > most ? x[lane] : most;
    return most;
}

INLINE float total(Floats x) {
    float sum = 0.0f;
    for (int lane = 0; lane < LANES; lane++) sum += x[lane];
    return sum;
}
#endif

/* Rotary positions: pairs (d, d + key / 2) of one head, turned by cosines and sines [key / 2]. */
INLINE void turned(const void *from, int64_t at, float *to, const float *cosines, const float *sines, int64_t key,
                   float scale, const int half) {
    int64_t d = 0;
    for (; d + LANES <= key / 2; d += LANES) {
        const Floats a = load(from, at + d, half), b = load(from, at + key / 2 + d, half);
        const Floats cosine = load(cosines, d, 0), sine = load(sines, d, 0);
        store(to, d, (a * cosine - b * sine) * scale, 0);
        store(to, key / 2 + d, (b * cosine + a * sine) * scale, 0);
    }
    for (; d < key / 2; d++) {
        const float a = number(from, at + d, half), b = number(from, at + key / 2 + d, half);
        to[d] = (a * cosines[d] - b * sines[d]) * scale;
        to[key / 2 + d] = (b * cosines[d] + a * sines[d]) * scale;
    }
}
