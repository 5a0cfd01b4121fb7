// Columns of activations as bytes, a scale for each part: 32 numbers of a row or a column.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kPartLength = 32;

struct Activations {
  std::int8_t codes[kPartLength];
  // -kZero times the sum of the codes, for each scale of the weights; a zero after each, so that
  // they are the first lane of the half of a vector that the scale is for.
  std::int32_t start[4];
  float scale;
  float sum;  // of the numbers that the codes stand for
};

inline std::int32_t sum_of(__m256i values) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return _mm_cvtsi128_si32(sum);
}

// Null stands for zeros.
template <class Weights>
void quantize(const float* from, Activations* to, std::int64_t parts) {
  for (std::int64_t part = 0; part < parts; ++part) {
    Activations& out = to[part];
    if (from == nullptr) {
      out = {};
      continue;
    }
    const float* in = from + part * kPartLength;
    const __m256 sign = _mm256_set1_ps(-0.0f);
    __m256 values[4];
    __m256 largest = _mm256_setzero_ps();
    for (int i = 0; i < 4; ++i) {
      values[i] = _mm256_loadu_ps(in + 8 * i);
      largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, values[i]));
    }
    __m128 most = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
    most = _mm_max_ps(most, _mm_movehl_ps(most, most));
    most = _mm_max_ss(most, _mm_movehdup_ps(most));
    const float bound = _mm_cvtss_f32(most);
    const __m256 factor = _mm256_set1_ps(bound > 0 ? 127.0f / bound : 0.0f);

    __m256i codes[4];
    for (int i = 0; i < 4; ++i) codes[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], factor));
    const __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(codes[0], codes[1]),
                                             _mm256_packs_epi32(codes[2], codes[3]));
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.codes),
                        _mm256_permutevar8x32_epi32(bytes, order));
    const std::int32_t first = sum_of(_mm256_add_epi32(codes[0], codes[1]));
    const std::int32_t second = sum_of(_mm256_add_epi32(codes[2], codes[3]));
    const bool one = Weights::kSpan == kPartLength;
    out.start[0] = -Weights::kZero * (one ? first + second : first);
    out.start[1] = 0;
    out.start[2] = one ? 0 : -Weights::kZero * second;
    out.start[3] = 0;
    out.scale = bound / 127.0f;
    out.sum = out.scale * static_cast<float>(first + second);
  }
}

}  // namespace llmlocal::kernels
