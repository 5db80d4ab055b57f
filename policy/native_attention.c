/* Attention in training on a CPU, there and back, for one thread: between the product that gives queries, keys and
 * values and the one that follows.
 *
 * Tokens lie in runs (windows) of their own lengths, and each sees its run from some token on. What belongs to one head
 * of one run fits into the cache of a core, so scores are never written to memory: on the way back they are computed
 * again, a tile of queries at a time (FlashAttention, arXiv 2205.14135, algorithm 4, with whole rows of scores).
 */
#include "native.h"

/* Room for one head of one run, in float32, of at most `columns` tokens, a multiple of LANES. */
typedef struct {
    float *queries, *keys, *values, *gradient;              /* [columns, key]; queries turned and scaled, keys turned */
    float *keys_across, *values_across;                     /* [columns / LANES, key, LANES] */
    float *of_query, *of_keys, *of_values;                  /* gradients: [key]; [columns, key] twice */
    float *weights, *scores;                                /* [QUERIES, columns] */
    int64_t *blocks;                                        /* [columns / LANES]: those that a tile sees something of */
    int64_t key, columns;
} Room;

static int made(Room *room, int64_t longest, int64_t key) {
    const int64_t columns = (longest + LANES - 1) / LANES * LANES, size = columns * key;
    float *all = malloc(sizeof(float) * (8 * size + (2 * columns + key) * QUERIES));
    int64_t *blocks = malloc(sizeof(int64_t) * (columns / LANES + 1));
    if (!all || !blocks) {
        free(all);
        free(blocks);
        return 1;
    }
    *room = (Room){all,
                   all + size,
                   all + 2 * size,
                   all + 3 * size,
                   all + 4 * size,
                   all + 5 * size,
                   all + 8 * size + 2 * columns * QUERIES,
                   all + 6 * size,
                   all + 7 * size,
                   all + 8 * size,
                   all + 8 * size + columns * QUERIES,
                   blocks,
                   key,
                   columns};
    return 0;
}

static void let_go(Room *room) {
    free(room->queries);
    free(room->blocks);
}

INLINE void copied(const void *from, int64_t at, int64_t stride, float *to, int64_t count, int64_t key, const int half) {
    for (int64_t c = 0; c < count; c++)
        for (int64_t d = 0; d < key; d += LANES) store(to, c * key + d, load(from, at + c * stride + d, half), 0);
}

/* [count, key] -> [count / LANES, key, LANES]; zero beyond count. */
static void across(const float *from, float *to, int64_t count, int64_t key) {
    for (int64_t c = 0; c < count; c += LANES) {
        float *block = to + c * key;
        const int64_t lanes = count - c < LANES ? count - c : LANES;
        if (lanes < LANES) memset(block, 0, sizeof(float) * LANES * key);
        for (int64_t lane = 0; lane < lanes; lane++)
            for (int64_t d = 0; d < key; d++) block[d * LANES + lane] = from[(c + lane) * key + d];
    }
}

/* Products of `most` rows [key] with all columns of the tile's blocks: to [most][columns], block after block, two at a
 * time: a query's number is loaded once for both. */
INLINE void products(const Room *room, const int most, const float *const *rows, const float *columns, int64_t found,
                     float *to) {
    const int64_t key = room->key;
    int64_t block = 0;
    for (; block + 1 < found; block += 2) {
        const float *from = columns + room->blocks[block] * key, *next = columns + room->blocks[block + 1] * key;
        Floats sum[QUERIES], more[QUERIES];
        UNROLL
        for (int t = 0; t < most; t++) sum[t] = more[t] = (Floats){0};
        for (int64_t d = 0; d < key; d++) {
            const Floats column = load(from, d * LANES, 0), other = load(next, d * LANES, 0);
            UNROLL
            for (int t = 0; t < most; t++) {
                sum[t] += rows[t][d] * column;
                more[t] += rows[t][d] * other;
            }
        }
        UNROLL
        for (int t = 0; t < most; t++) {
            store(to, t * room->columns + block * LANES, sum[t], 0);
            store(to, t * room->columns + block * LANES + LANES, more[t], 0);
        }
    }
    for (; block < found; block++) {
        const float *from = columns + room->blocks[block] * key;
        Floats sum[QUERIES];
        UNROLL
        for (int t = 0; t < most; t++) sum[t] = (Floats){0};
        for (int64_t d = 0; d < key; d++) {
            const Floats column = load(from, d * LANES, 0);
            UNROLL
            for (int t = 0; t < most; t++) sum[t] += rows[t][d] * column;
        }
        UNROLL
        for (int t = 0; t < most; t++) store(to, t * room->columns + block * LANES, sum[t], 0);
    }
}

/* Which blocks the tokens [token, token + count) see something of. first [run]: never less than the one before. */
INLINE int64_t seen(const Room *room, int64_t token, int count, const int64_t *first, int64_t prompt) {
    int64_t found = 0, c = 0;
    for (; c < prompt && c < token + count; c += LANES) room->blocks[found++] = c;
    const int64_t begin = first[token] / LANES * LANES;
    for (c = c > begin ? c : begin; c < token + count; c += LANES) room->blocks[found++] = c;
    return found;
}

/* Weights of the tokens [token, token + count), from their scores, in place; zero where they see nothing. */
INLINE void softmax(const Room *room, int count, int64_t token, const int64_t *first, int64_t prompt, int64_t found) {
    const Floats hidden = (Floats){0} - INFINITY;
    const Ints lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int t = 0; t < count; t++) {
        float *scores = room->weights + t * room->columns;
        const int32_t own = (int32_t)token + t, begin = (int32_t)first[token + t];
        Floats top = hidden;
        for (int64_t block = 0; block < found; block++) {
            const int32_t c = (int32_t)room->blocks[block];
            Floats score = load(scores, block * LANES, 0);
            if (c + LANES - 1 > own || (c < begin && c + LANES > prompt)) {
                const Ints at = lanes + c;
                score = chosen((at <= own) & ((at >= begin) | (at < (int32_t)prompt)), score, hidden);
                store(scores, block * LANES, score, 0);
            }
            top = greater(score, top);
        }
        const float best = highest(top);
        Floats sums = {0};
        for (int64_t block = 0; block < found; block++) {
            const Floats score = load(scores, block * LANES, 0);
            const Floats weight = chosen(score > hidden, exponential(score - best), (Floats){0});
            store(scores, block * LANES, weight, 0);
            sums += weight;
        }
        const float scale = 1.0f / total(sums);
        for (int64_t block = 0; block < found; block++)
            store(scores, block * LANES, load(scores, block * LANES, 0) * scale, 0);
    }
}

/* Sums of rows [columns, key] by weights [most][columns]: to [most][key]. */
INLINE void summed(const Room *room, const int most, const float *weights, const float *rows, int64_t found,
                   int64_t end, float *to) {
    const int64_t key = room->key, columns = room->columns;
    for (int64_t d = 0; d < key; d += LANES) {
        Floats sum[QUERIES];
        UNROLL
        for (int t = 0; t < most; t++) sum[t] = (Floats){0};
        for (int64_t block = 0; block < found; block++) {
            const int64_t c = room->blocks[block], lanes = end - c < LANES ? end - c : LANES;
            for (int64_t lane = 0; lane < lanes; lane++) {
                const Floats row = load(rows, (c + lane) * key + d, 0);
                UNROLL
                for (int t = 0; t < most; t++) sum[t] += weights[t * columns + block * LANES + lane] * row;
            }
        }
        UNROLL
        for (int t = 0; t < most; t++) store(to, t * key + d, sum[t], 0);
    }
}

/* The way back of `summed`, to the rows: adds to each of to [columns, key] the `most` given [key] by its weights. */
INLINE void spread(const Room *room, const int most, const float *weights, const float *const *given, int64_t found,
                   int64_t end, float *to) {
    const int64_t key = room->key, columns = room->columns;
    for (int64_t d = 0; d < key; d += LANES) {
        Floats part[QUERIES];
        UNROLL
        for (int t = 0; t < most; t++) part[t] = load(given[t], d, 0);
        for (int64_t block = 0; block < found; block++) {
            const int64_t c = room->blocks[block], lanes = end - c < LANES ? end - c : LANES;
            for (int64_t lane = 0; lane < lanes; lane++) {
                Floats sum = load(to, (c + lane) * key + d, 0);
                UNROLL
                for (int t = 0; t < most; t++) sum += weights[t * columns + block * LANES + lane] * part[t];
                store(to, (c + lane) * key + d, sum, 0);
            }
        }
    }
}

/* Weights of `most` tokens from `token` on, of which `count` are there; what is too much weighs nothing. */
INLINE int64_t weighed(const Room *room, const int most, int count, int64_t token, const int64_t *first,
                       int64_t prompt) {
    const float *rows[QUERIES];
    for (int t = 0; t < most; t++) rows[t] = room->queries + (token + (t < count ? t : count - 1)) * room->key;
    const int64_t found = seen(room, token, count, first, prompt);
    products(room, most, rows, room->keys_across, found, room->weights);
    softmax(room, count, token, first, prompt, found);
    for (int t = count; t < most; t++) memset(room->weights + t * room->columns, 0, sizeof(float) * found * LANES);
    return found;
}

INLINE void tile(const Room *room, const int most, int count, int64_t token, const int64_t *first, int64_t prompt,
                 void *out, int64_t at, int64_t width, const int half) {
    const int64_t key = room->key, found = weighed(room, most, count, token, first, prompt);
    summed(room, most, room->weights, room->values, found, token + count, room->of_query);
    for (int t = 0; t < count; t++)
        for (int64_t d = 0; d < key; d += LANES)
            store(out, at + t * width + d, load(room->of_query, t * key + d, 0), half);
}

INLINE void tile_back(const Room *room, const int most, int count, int64_t token, const int64_t *first,
                      int64_t prompt) {
    const int64_t key = room->key, columns = room->columns, end = token + count;
    const int64_t found = weighed(room, most, count, token, first, prompt);
    const float *queries[QUERIES], *given[QUERIES];
    for (int t = 0; t < most; t++) {
        const int64_t own = token + (t < count ? t : count - 1);
        queries[t] = room->queries + own * key;
        given[t] = room->gradient + own * key;
    }
    spread(room, most, room->weights, given, found, end, room->of_values);
    products(room, most, given, room->values_across, found, room->scores); /* of the weights */
    for (int t = 0; t < most; t++) {
        const float *weights = room->weights + t * columns;
        float *scores = room->scores + t * columns;
        Floats sums = {0};
        for (int64_t c = 0; c < found * LANES; c += LANES) sums += load(weights, c, 0) * load(scores, c, 0);
        const float mean = total(sums);
        for (int64_t c = 0; c < found * LANES; c += LANES)
            store(scores, c, load(weights, c, 0) * (load(scores, c, 0) - mean), 0);
    }
    spread(room, most, room->scores, queries, found, end, room->of_keys);
    summed(room, most, room->scores, room->keys, found, end, room->of_query);
}

/* The way back of `turned`: from [key] to the place `at`. */
INLINE void turned_back(const float *from, void *to, int64_t at, const float *cosines, const float *sines, int64_t key,
                        float scale, const int half) {
    for (int64_t d = 0; d < key / 2; d++) {
        const float a = from[d], b = from[key / 2 + d];
        put(to, at + d, (a * cosines[d] + b * sines[d]) * scale, half);
        put(to, at + key / 2 + d, (b * cosines[d] - a * sines[d]) * scale, half);
    }
}

INLINE int attention(const void *joint, const void *gradient, void *out, const float *cosines, const float *sines,
                     const int64_t *starts, const int64_t *first, const int64_t *prompts, int64_t runs, int64_t heads,
                     int64_t key, const int half) {
    const int64_t width = heads * key;
    const float scale = 1.0f / sqrtf((float)key);
    int64_t longest = 1;
    for (int64_t run = 0; run < runs; run++)
        if (starts[run + 1] - starts[run] > longest) longest = starts[run + 1] - starts[run];
    Room room;
    if (made(&room, longest, key)) return 1;
    for (int64_t run = 0; run < runs; run++)
        for (int64_t head = 0; head < heads; head++) {
            const int64_t start = starts[run], count = starts[run + 1] - start, prompt = prompts[run];
            for (int64_t t = 0; t < count; t++) {
                const int64_t at = (start + t) * 3 * width + head * key, angle = (start + t) * (key / 2);
                turned(joint, at, room.queries + t * key, cosines + angle, sines + angle, key, scale, half);
                turned(joint, at + width, room.keys + t * key, cosines + angle, sines + angle, key, 1.0f, half);
            }
            copied(joint, start * 3 * width + 2 * width + head * key, 3 * width, room.values, count, key, half);
            across(room.keys, room.keys_across, count, key);
            if (gradient) {
                copied(gradient, start * width + head * key, width, room.gradient, count, key, half);
                across(room.values, room.values_across, count, key);
                memset(room.of_keys, 0, sizeof(float) * count * key);
                memset(room.of_values, 0, sizeof(float) * count * key);
            }
            for (int64_t t = 0; t < count; t += QUERIES) {
                const int some = count - t < QUERIES ? (int)(count - t) : QUERIES;
                if (!gradient) {
                    const int64_t at = (start + t) * width + head * key;
                    if (some <= QUERIES / 2)
                        tile(&room, QUERIES / 2, some, t, first + start, prompt, out, at, width, half);
                    else
                        tile(&room, QUERIES, some, t, first + start, prompt, out, at, width, half);
                    continue;
                }
                if (some <= QUERIES / 2)
                    tile_back(&room, QUERIES / 2, some, t, first + start, prompt);
                else
                    tile_back(&room, QUERIES, some, t, first + start, prompt);
                for (int64_t one = 0; one < some; one++) {
                    const int64_t at = (start + t + one) * 3 * width + head * key;
                    const int64_t angle = (start + t + one) * (key / 2);
                    turned_back(room.of_query + one * key, out, at, cosines + angle, sines + angle, key, scale, half);
                }
            }
            if (!gradient) continue;
            for (int64_t t = 0; t < count; t++) {
                const int64_t at = (start + t) * 3 * width + head * key, angle = (start + t) * (key / 2);
                turned_back(room.of_keys + t * key, out, at + width, cosines + angle, sines + angle, key, 1.0f, half);
                for (int64_t d = 0; d < key; d += LANES)
                    store(out, at + 2 * width + d, load(room.of_values, t * key + d, 0), half);
            }
        }
    let_go(&room);
    return 0;
}

/* Attention of tokens to those before them in their runs. Returns 0, or 1 when there is no memory.
 *
 * joint:    [N, 3, heads, key]: queries, keys, values; key a multiple of 16.
 * gradient: NULL, or [N, heads, key]: of the result.
 * out:      [N, heads, key]; with a gradient that of joint [N, 3, heads, key].
 * cosines, sines: float32 [N, key / 2], of rotary positions.
 * starts:   [runs + 1]: where each run begins among the tokens, and the end; only these tokens are looked at.
 * first:    [N]: counted from its run's first token, the first one that each sees, never less than that of the one
 *           before; each sees itself.
 * prompts:  [runs]: so many tokens at the front of each run are seen by all behind them as well.
 */
#define ARGUMENTS \
    const void *joint, const void *gradient, void *out, const float *cosines, const float *sines, \
        const int64_t *starts, const int64_t *first, const int64_t *prompts, int64_t runs, int64_t heads, int64_t key
#define PASSED joint, gradient, out, cosines, sines, starts, first, prompts, runs, heads, key

int attention_float32(ARGUMENTS) { return attention(PASSED, 0); }

int attention_bfloat16(ARGUMENTS) { return attention(PASSED, 1); }
