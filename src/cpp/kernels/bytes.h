// Activations as bytes: 32 numbers of a column, a part, share a scale.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace llmlocal::kernels {

constexpr int kPartLength = 32;

struct Bytes {
  __m256i codes;         // -127..127
  std::int32_t sums[2];  // of the first 16 codes, and of the others
  float scale;
};

inline std::int32_t sum_of(__m256i values) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(values), _mm256_extracti128_si256(values, 1));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
  sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
  return _mm_cvtsi128_si32(sum);
}

inline Bytes to_bytes(const float* numbers) {
  const __m256 sign = _mm256_set1_ps(-0.0f);
  __m256 values[4];
  __m256 largest = _mm256_setzero_ps();
  for (int i = 0; i < 4; ++i) {
    values[i] = _mm256_loadu_ps(numbers + 8 * i);
    largest = _mm256_max_ps(largest, _mm256_andnot_ps(sign, values[i]));
  }
  __m128 most = _mm_max_ps(_mm256_castps256_ps128(largest), _mm256_extractf128_ps(largest, 1));
  most = _mm_max_ps(most, _mm_movehl_ps(most, most));
  most = _mm_max_ss(most, _mm_movehdup_ps(most));
  const float bound = _mm_cvtss_f32(most);
  const __m256 factor = _mm256_set1_ps(bound > 0 ? 127.0f / bound : 0.0f);

  __m256i codes[4];
  for (int i = 0; i < 4; ++i) codes[i] = _mm256_cvtps_epi32(_mm256_mul_ps(values[i], factor));
  const __m256i packed = _mm256_packs_epi16(_mm256_packs_epi32(codes[0], codes[1]),
                                            _mm256_packs_epi32(codes[2], codes[3]));
  const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
  return {
      _mm256_permutevar8x32_epi32(packed, order),
      {sum_of(_mm256_add_epi32(codes[0], codes[1])), sum_of(_mm256_add_epi32(codes[2], codes[3]))},
      bound / 127.0f};
}

}  // namespace llmlocal::kernels
