// The exponential function, and what is made of it, of eight numbers.
#pragma once

#include <immintrin.h>

namespace llmlocal::kernels {

// e to the power of x <= 88; nothing below -87.
inline __m256 exp_of(__m256 x) {
  const __m256 least = _mm256_set1_ps(-87.0f);
  const __m256 vanishes = _mm256_cmp_ps(x, least, _CMP_LT_OQ);
  x = _mm256_max_ps(x, least);
  const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                   _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
  // Taylor's series, enough for |r| <= ln(2) / 2
  __m256 y = _mm256_set1_ps(1.0f / 5040);
  for (const float term : {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1.0f, 1.0f}) {
    y = _mm256_fmadd_ps(y, r, _mm256_set1_ps(term));
  }
  const __m256i power = _mm256_slli_epi32(_mm256_cvtps_epi32(n), 23);
  y = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(y), power));
  return _mm256_andnot_ps(vanishes, y);
}

inline __m256 tanh_of(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f), bound = _mm256_set1_ps(20.0f);
  x = _mm256_max_ps(_mm256_min_ps(x, bound), _mm256_sub_ps(_mm256_setzero_ps(), bound));
  const __m256 e = exp_of(_mm256_add_ps(x, x));
  return _mm256_div_ps(_mm256_sub_ps(e, one), _mm256_add_ps(e, one));
}

// x times the share of a normal distribution that lies below it, by the usual approximation.
inline __m256 gelu_of(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  x = _mm256_max_ps(_mm256_set1_ps(-10.0f), x);  // Below, it is zero; what is not a number stays.
  const __m256 cubic =
      _mm256_fmadd_ps(_mm256_mul_ps(_mm256_set1_ps(0.044715f), x), _mm256_mul_ps(x, x), x);
  const __m256 power = _mm256_mul_ps(_mm256_set1_ps(-2 * 0.79788456f), cubic);
  return _mm256_div_ps(x, _mm256_add_ps(one, exp_of(power)));
}

}  // namespace llmlocal::kernels
