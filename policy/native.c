/* Decoding on a CPU: attention of a pass's new tokens to the cache, between the product that gives queries, keys and
 * values and the one that follows, and what else stands between products. For one thread.
 *
 * PyTorch's kernels want rows of equal lengths, copy what does not lie together, and write the scores to memory three
 * times. Here each row has its own lengths, and a tile of queries keeps its scores in the cache of the core.
 */
#include "native.h"

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
