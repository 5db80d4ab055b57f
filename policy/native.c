/* Attention of a pass's new tokens to the cache, between the product that gives queries, keys and values and the one
 * that follows, and what else training and decoding do between products: for one thread, in plain C with the vector
 * extensions that GCC and Clang share.
 *
 * PyTorch's kernels want rows of equal lengths, copy what does not lie together, and write the scores to memory three
 * times. Here each row has its own lengths, and a tile of queries keeps its scores in the cache of the core.
 */
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

/* One head of one row: what all its tiles of queries share. */
typedef struct {
    const void *keys;   /* [columns / LANES, key, LANES] */
    const void *values; /* [columns, key] */
    int64_t key, columns;
    int64_t size;   /* tokens of a timestep */
    int64_t prompt; /* columns of the prompt, which all see */
    int64_t back;   /* timesteps that a token sees behind its own; -1: all */
} Head;

/* The first column that a token sees behind the prompt. */
INLINE int64_t first_seen(const Head *head, int64_t column) {
    if (head->back < 0) return 0;
    int64_t timestep = column / head->size - head->back;
    return timestep < 0 ? 0 : timestep * head->size;
}

/* Attention of `count` queries, `stride` numbers apart, of neighbouring columns from `column` on. Computed is room for
 * `most` of them, a constant: what is too much is a copy of the last one. blocks [columns / LANES] and scores
 * [most][columns] are room. */
INLINE void tile(const Head *head, const int most, int count, const float *queries, int64_t stride, int64_t column,
                 int64_t *blocks, float *scores, void *out, int64_t out_stride, const int half) {
    const int64_t key = head->key, columns = head->columns;
    const Floats hidden = (Floats){0} - INFINITY;
    const int64_t end = column + count, begin = first_seen(head, column), latest = first_seen(head, end - 1);
    const float *query[QUERIES];
    Floats top[QUERIES];
    float scale[QUERIES];
    for (int t = 0; t < most; t++) {
        query[t] = queries + (t < count ? t : count - 1) * stride;
        top[t] = hidden;
    }
    int64_t found = 0; /* blocks of which somebody sees something */
    for (int64_t c = 0; c < end; c += LANES) {
        if (c >= head->prompt && c + LANES <= begin) continue;
        Floats sum[QUERIES];
        UNROLL
        for (int t = 0; t < most; t++) sum[t] = (Floats){0};
        for (int64_t d = 0; d < key; d++) {
            const Floats k = load(head->keys, c * key + d * LANES, half);
            UNROLL
            for (int t = 0; t < most; t++) sum[t] += query[t][d] * k;
        }
        if (c + LANES - 1 > column || (c < latest && c + LANES > head->prompt)) { /* not all of them see all of it */
            const Ints at = (Ints){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} + (int32_t)c;
            UNROLL
            for (int t = 0; t < most; t++) {
                const int64_t own = column + (t < count ? t : count - 1);
                const int32_t first = (int32_t)first_seen(head, own);
                const Ints seen = (at <= (int32_t)own) & ((at >= first) | (at < (int32_t)head->prompt));
                sum[t] = chosen(seen, sum[t], hidden);
            }
        }
        UNROLL
        for (int t = 0; t < most; t++) {
            store(scores, t * columns + found * LANES, sum[t], 0);
            top[t] = greater(sum[t], top[t]);
        }
        blocks[found++] = c;
    }
    for (int t = 0; t < count; t++) {
        const float best = highest(top[t]);
        Floats sum = {0};
        for (int64_t block = 0; block < found; block++) {
            const int64_t at = t * columns + block * LANES;
            const Floats score = load(scores, at, 0);
            const Floats weight = chosen(score > hidden, exponential(score - best), (Floats){0});
            store(scores, at, weight, 0);
            sum += weight;
        }
        scale[t] = 1.0f / total(sum);
    }
    for (int64_t d = 0; d < key; d += LANES) {
        Floats sum[QUERIES];
        UNROLL
        for (int t = 0; t < most; t++) sum[t] = (Floats){0};
        for (int64_t block = 0; block < found; block++) {
            const int64_t c = blocks[block], lanes = end - c < LANES ? end - c : LANES;
            const float *weights = scores + block * LANES;
            for (int64_t lane = 0; lane < lanes; lane++) {
                const Floats v = load(head->values, (c + lane) * key + d, half);
                UNROLL
                for (int t = 0; t < most; t++) sum[t] += weights[t * columns + lane] * v;
            }
        }
        for (int t = 0; t < count; t++) store(out, t * out_stride + d, sum[t] * scale[t], half);
    }
}

/* Up to QUERIES queries, by the least room that holds them. */
INLINE void tiles(const Head *head, int64_t count, const float *queries, int64_t stride, int64_t column,
                  int64_t *blocks, float *scores, void *out, int64_t out_stride, const int half) {
    const int few = (int)count;
    if (few == 1)
        tile(head, 1, few, queries, stride, column, blocks, scores, out, out_stride, half);
    else if (few <= QUERIES / 2)
        tile(head, QUERIES / 2, few, queries, stride, column, blocks, scores, out, out_stride, half);
    else
        tile(head, QUERIES, few, queries, stride, column, blocks, scores, out, out_stride, half);
}

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

INLINE int attend(const void *joint, void *out, const float *cosines, const float *sines, void *keys, void *values,
                  const int64_t *rows, int64_t count, int64_t heads, int64_t key, int64_t columns, int64_t back,
                  int64_t last, const int half) {
    const int64_t width = heads * key, bytes = half ? 2 : 4;
    int64_t longest = 0;
    for (int64_t row = 0; row < count; row++) longest = rows[2 * count + row] > longest ? rows[2 * count + row] : longest;
    float *queries = malloc(sizeof(float) * (2 * longest * width + QUERIES * columns));
    int64_t *blocks = malloc(sizeof(int64_t) * (columns / LANES + 1));
    if (!queries || !blocks) {
        free(queries);
        free(blocks);
        return 1;
    }
    float *fresh = queries + longest * width, *scores = fresh + longest * width;
    const float scale = 1.0f / sqrtf((float)key);
    for (int64_t row = 0; row < count; row++) {
        const int64_t slot = rows[row], first = rows[count + row], new = rows[2 * count + row];
        const int64_t column = rows[3 * count + row], size = rows[4 * count + row];
        const int64_t place = slot * width * columns;
        char *k = (char *)keys + place * bytes, *v = (char *)values + place * bytes;
        for (int64_t t = 0; t < new; t++) {
            const int64_t at = (first + t) * 3 * width, turn = (column + t) * (key / 2);
            for (int64_t h = 0; h < heads; h++) {
                float *q = queries + t * width + h * key;
                if (!last || t == new - 1) turned(joint, at + h * key, q, cosines + turn, sines + turn, key, scale, half);
                float *own = fresh + t * width + h * key;
                turned(joint, at + width + h * key, own, cosines + turn, sines + turn, key, 1.0f, half);
                memcpy(v + (h * columns + column + t) * key * bytes,
                       (const char *)joint + (at + 2 * width + h * key) * bytes, key * bytes);
            }
        }
        for (int64_t t = 0; t < new; t++) {
            const int64_t lane = (column + t) % LANES, block = column + t - lane;
            for (int64_t h = 0; h < heads; h++) {
                const float *own = fresh + t * width + h * key;
                const int64_t to = (h * columns + block) * key + lane;
                for (int64_t d = 0; d < key; d++) put(k, to + d * LANES, own[d], half);
            }
        }
        for (int64_t h = 0; h < heads; h++) {
            const Head head = {k + h * key * columns * bytes, v + h * key * columns * bytes, key, columns, size,
                               rows[5 * count + row] * size, back};
            for (int64_t t = last ? new - 1 : 0; t < new; t += QUERIES) {
                const int64_t some = new - t < QUERIES ? new - t : QUERIES;
                void *to = (char *)out + ((last ? row : first + t) * width + h * key) * bytes;
                tiles(&head, some, queries + t * width + h * key, width, column + t, blocks, scores, to, width, half);
            }
        }
    }
    free(queries);
    free(blocks);
    return 0;
}

/* Writes the new tokens' keys and values into one layer of the cache and attends to it. Returns 0, or 1 when there is
 * no memory.
 *
 * joint:     [N, 3, heads, key], N at least the rows' new tokens: queries, keys, values.
 * out:       [N, heads, key], or with `last` [rows, heads, key]: of each row's last token alone.
 * cosines, sines: float32 [places, key / 2].
 * keys:      [slots, heads, columns / 16, key, 16]; values: [slots, heads, columns, key].
 * rows:      [6, count]: slot, first of N, new tokens, first column, tokens of a timestep, timesteps of the prompt.
 * key, columns: multiples of 16.
 * back:      timesteps that a token sees behind its own; -1: all.
 */
#define ARGUMENTS \
    const void *joint, void *out, const float *cosines, const float *sines, void *keys, void *values, \
        const int64_t *rows, int64_t count, int64_t heads, int64_t key, int64_t columns, int64_t back, int64_t last
#define PASSED joint, out, cosines, sines, keys, values, rows, count, heads, key, columns, back, last

int attend_float32(ARGUMENTS) { return attend(PASSED, 0); }

int attend_bfloat16(ARGUMENTS) { return attend(PASSED, 1); }

INLINE void add_norm(void *x, const void *added, void *out, const float *weight, const float *bias, int64_t count,
                     int64_t width, float epsilon, const int half) {
    for (int64_t row = 0; row < count; row++) {
        const int64_t at = row * width;
        Floats sums = {0}, squares = {0};
        for (int64_t d = 0; d < width; d += LANES) {
            Floats value = load(x, at + d, half);
            if (added) {
                store(x, at + d, value + load(added, at + d, half), half);
                value = load(x, at + d, half); /* as it will be read again */
            }
            sums += value;
        }
        const float mean = total(sums) / (float)width;
        for (int64_t d = 0; d < width; d += LANES) {
            const Floats off = load(x, at + d, half) - mean;
            squares += off * off;
        }
        const float scale = 1.0f / sqrtf(total(squares) / (float)width + epsilon);
        for (int64_t d = 0; d < width; d += LANES) {
            const Floats value = (load(x, at + d, half) - mean) * scale;
            store(out, at + d, value * load(weight, d, 0) + load(bias, d, 0), half);
        }
    }
}

/* Adds `added` to the residual stream x, both [count, width], unless it is NULL, and normalises the sum into out.
 * width is a multiple of 16; weight and bias are float32. */
void add_norm_float32(void *x, const void *added, void *out, const float *weight, const float *bias, int64_t count,
                      int64_t width, float epsilon) {
    add_norm(x, added, out, weight, bias, count, width, epsilon, 0);
}

void add_norm_bfloat16(void *x, const void *added, void *out, const float *weight, const float *bias, int64_t count,
                       int64_t width, float epsilon) {
    add_norm(x, added, out, weight, bias, count, width, epsilon, 1);
}

INLINE void turn(void *joint, const float *cos, const float *sin, int64_t rows, int64_t stride, int64_t heads,
                 int64_t key, int64_t back, const int half) {
    const int64_t pairs = key / 2;
    for (int64_t row = 0; row < rows; row++, cos += pairs, sin += pairs)
        for (int64_t head = 0; head < heads; head++) {
            const int64_t first = row * stride + head * key, second = first + pairs;
            _Pragma("GCC ivdep") for (int64_t pair = 0; pair < pairs; pair++) {
                const float a = number(joint, first + pair, half), b = number(joint, second + pair, half);
                const float turned = back ? -sin[pair] : sin[pair];
                put(joint, first + pair, a * cos[pair] - b * turned, half);
                put(joint, second + pair, b * cos[pair] + a * turned, half);
            }
        }
}

/* Turns, in place, the first `heads` heads of `key` numbers of each row by rotary positions: pairs (i, i + key / 2).
 * joint [rows, stride]; cos and sin, float32 [rows, key / 2]; `back`: the other way round. */
void turn_float32(void *joint, const float *cos, const float *sin, int64_t rows, int64_t stride, int64_t heads,
                  int64_t key, int64_t back) {
    turn(joint, cos, sin, rows, stride, heads, key, back, 0);
}

void turn_bfloat16(void *joint, const float *cos, const float *sin, int64_t rows, int64_t stride, int64_t heads,
                   int64_t key, int64_t back) {
    turn(joint, cos, sin, rows, stride, heads, key, back, 1);
}

/* One token of each row of float32 logits [count, ids], as policy/sampling.py says, and its log-probability.
 *
 * temperature: float64 [count]; 0 is greedy. level: float64 [count]. work: float32 [ids], room.
 */
void draw(const float *logits, int64_t count, int64_t ids, const double *temperature, const double *level,
          int64_t median, float *work, int64_t *picked, double *scores) {
    for (int64_t row = 0; row < count; row++, logits += ids) {
        float top = -INFINITY;
        int64_t likeliest = 0;
        for (int64_t id = 0; id < ids; id++) top = logits[id] > top ? logits[id] : top;
        while (logits[likeliest] != top && likeliest < ids - 1) likeliest++;
        const double heat = temperature[row] > 0 ? temperature[row] : 1.0;
        const float scale = (float)(1.0 / heat);
        Doubles sums = {0};
        int64_t id = 0;
        double sum = 0.0;
        for (; id + LANES <= ids; id += LANES) {
            const Floats weight = exponential((load(logits, id, 0) - top) * scale);
            store(work, id, weight, 0);
            sums += __builtin_convertvector(weight, Doubles);
        }
        for (; id < ids; id++) sum += work[id] = expf((logits[id] - top) * scale);
        for (int lane = 0; lane < LANES; lane++) sum += sums[lane];
        int64_t found = likeliest;
        if (temperature[row] > 0 || median) {
            const double wanted = (temperature[row] > 0 ? level[row] : 0.5) * sum;
            double passed = 0.0;
            for (found = 0; found < ids - 1; found++)
                if ((passed += work[found]) > wanted) break;
        }
        picked[row] = found;
        scores[row] = (double)(logits[found] - top) / heat - log(sum);
    }
}
