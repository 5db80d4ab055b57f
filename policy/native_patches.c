/* What stands between the convolutions that embed image patches: group normalisation and GELU as one, there and back,
 * over places whose channels lie together. For one thread. PyTorch's take half of the embedding's time on CPUs.
 */
#include "native.h"

#define CHANNELS 256 /* at most */

/* The normal distribution's density and cumulative function. The latter to 1e-7 (Abramowitz and Stegun, 7.1.26). */
INLINE void normal(Floats x, Floats *density, Floats *below) {
    const Floats size = greater(x, -x) * 0.70710678f;
    const Floats t = 1.0f / (1.0f + 0.3275911f * size);
    const Floats power = exponential(-size * size);
    Floats rest = t * 1.061405429f - 1.453152027f;
    rest = rest * t + 1.421413741f;
    rest = rest * t - 0.284496736f;
    rest = rest * t + 0.254829592f;
    rest = rest * t * power * 0.5f;
    *density = power * 0.39894228f;
    *below = chosen(x > 0.0f, 1.0f - rest, rest);
}

/* Sums over a group's channels and places, from those over places: each channel gets its group's, times `scale`. */
INLINE void grouped(float *sums, int64_t channels, int64_t groups, float scale) {
    const int64_t size = channels / groups;
    for (int64_t first = 0; first < channels; first += size) {
        float sum = 0.0f;
        for (int64_t c = first; c < first + size; c++) sum += sums[c];
        for (int64_t c = first; c < first + size; c++) sums[c] = sum * scale;
    }
}

/* Means and inverse deviations of one patch [places, channels], by channel. */
INLINE void moments(const void *x, int64_t at, int64_t places, int64_t channels, int64_t groups, float epsilon,
                    float *mean, float *scale, const int half) {
    const float share = (float)groups / (float)(places * channels);
    for (int64_t c = 0; c < channels; c += LANES) {
        Floats sum = {0};
        for (int64_t p = 0; p < places; p++) sum += load(x, at + p * channels + c, half);
        store(mean, c, sum, 0);
    }
    grouped(mean, channels, groups, share);
    for (int64_t c = 0; c < channels; c += LANES) {
        const Floats middle = load(mean, c, 0);
        Floats sum = {0};
        for (int64_t p = 0; p < places; p++) {
            const Floats off = load(x, at + p * channels + c, half) - middle;
            sum += off * off;
        }
        store(scale, c, sum, 0);
    }
    grouped(scale, channels, groups, share);
    for (int64_t c = 0; c < channels; c++) scale[c] = 1.0f / sqrtf(scale[c] + epsilon);
}

INLINE void norm_gelu(const void *x, void *out, const float *weight, const float *bias, int64_t patches,
                      int64_t places, int64_t channels, int64_t groups, float epsilon, const int half) {
    float mean[CHANNELS], scale[CHANNELS];
    for (int64_t patch = 0; patch < patches; patch++) {
        const int64_t at = patch * places * channels;
        moments(x, at, places, channels, groups, epsilon, mean, scale, half);
        for (int64_t c = 0; c < channels; c += LANES) {
            const Floats slope = load(scale, c, 0) * load(weight, c, 0);
            const Floats shift = load(bias, c, 0) - load(mean, c, 0) * slope;
            for (int64_t p = 0; p < places; p++) {
                const Floats z = load(x, at + p * channels + c, half) * slope + shift;
                Floats density, below;
                normal(z, &density, &below);
                store(out, at + p * channels + c, z * below, half);
            }
        }
    }
}

INLINE void norm_gelu_back(const void *x, const void *gradient, void *out, const float *weight, const float *bias,
                           float *of_weight, float *of_bias, int64_t patches, int64_t places, int64_t channels,
                           int64_t groups, float epsilon, float *room, const int half) {
    float mean[CHANNELS], scale[CHANNELS], sums[CHANNELS], products[CHANNELS];
    const float share = (float)groups / (float)(places * channels);
    for (int64_t patch = 0; patch < patches; patch++) {
        const int64_t at = patch * places * channels;
        moments(x, at, places, channels, groups, epsilon, mean, scale, half);
        for (int64_t c = 0; c < channels; c += LANES) {
            const Floats middle = load(mean, c, 0), deviation = load(scale, c, 0);
            const Floats slope = load(weight, c, 0), shift = load(bias, c, 0);
            Floats sum = {0}, product = {0};
            for (int64_t p = 0; p < places; p++) {
                const int64_t place = p * channels + c;
                const Floats normed = (load(x, at + place, half) - middle) * deviation;
                const Floats z = normed * slope + shift;
                Floats density, below;
                normal(z, &density, &below);
                const Floats of_z = load(gradient, at + place, half) * (below + z * density);
                store(room, place, of_z, 0);
                sum += of_z;
                product += of_z * normed;
            }
            store(of_bias, c, load(of_bias, c, 0) + sum, 0);
            store(of_weight, c, load(of_weight, c, 0) + product, 0);
            store(sums, c, sum * slope, 0);
            store(products, c, product * slope, 0);
        }
        grouped(sums, channels, groups, share);
        grouped(products, channels, groups, share);
        for (int64_t c = 0; c < channels; c += LANES) {
            const Floats middle = load(mean, c, 0), deviation = load(scale, c, 0), slope = load(weight, c, 0);
            const Floats sum = load(sums, c, 0), product = load(products, c, 0);
            for (int64_t p = 0; p < places; p++) {
                const int64_t place = p * channels + c;
                const Floats normed = (load(x, at + place, half) - middle) * deviation;
                const Floats of_x = deviation * (load(room, place, 0) * slope - sum - normed * product);
                store(out, at + place, of_x, half);
            }
        }
    }
}

/* GELU of group-normalised patches. x, gradient and out [patches, places, channels]; weight, bias and their gradients,
 * which are added to, float32 [channels], a multiple of 16 and of the groups, room float32 [places, channels];
 * at most CHANNELS. Without a gradient out is the result, else the gradient of x. */
#define ARGUMENTS \
    const void *x, const void *gradient, void *out, const float *weight, const float *bias, float *of_weight, \
        float *of_bias, float *room, int64_t patches, int64_t places, int64_t channels, int64_t groups, float epsilon

INLINE void either(ARGUMENTS, const int half) {
    if (gradient)
        norm_gelu_back(x, gradient, out, weight, bias, of_weight, of_bias, patches, places, channels, groups, epsilon,
                       room, half);
    else
        norm_gelu(x, out, weight, bias, patches, places, channels, groups, epsilon, half);
}

#define PASSED x, gradient, out, weight, bias, of_weight, of_bias, room, patches, places, channels, groups, epsilon

void norm_gelu_float32(ARGUMENTS) { either(PASSED, 0); }

void norm_gelu_bfloat16(ARGUMENTS) { either(PASSED, 1); }
