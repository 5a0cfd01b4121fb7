// The scales of a stretch of weights, eight parts of a row, unpacked together.
//
// A weight is scale * code + min here: what makes codes signed (kZero) is a min, too.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/bytes.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kStretch = 8;

// One for each 32 weights, or for each 16.
template <class Weights>
struct StretchScales {
  static constexpr int kVectors = kPartLength / Weights::kSpan;
  __m256 scale[kVectors];
  __m256 min[kVectors];
};

template <class Weights>
LLMLOCAL_INLINE StretchScales<Weights> with_zero(__m256 scale) {
  constexpr auto kZero = static_cast<float>(-Weights::kZero);
  return {{scale}, {_mm256_mul_ps(scale, _mm256_set1_ps(kZero))}};
}

inline std::int32_t load_4(const void* from) {
  std::int32_t bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
  return bytes;
}

// Halves d and m, next to each other in a block.
template <class Block>
LLMLOCAL_INLINE void halves_of(const Block* blocks, __m256& d, __m256& m) {
  const __m256i pairs = _mm256_setr_epi32(load_4(&blocks[0].dm),
                                          load_4(&blocks[1].dm),
                                          load_4(&blocks[2].dm),
                                          load_4(&blocks[3].dm),
                                          load_4(&blocks[4].dm),
                                          load_4(&blocks[5].dm),
                                          load_4(&blocks[6].dm),
                                          load_4(&blocks[7].dm));
  const __m256i apart =
      _mm256_shuffle_epi8(pairs,
                          _mm256_broadcastsi128_si256(
                              _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)));
  const __m256i sorted = _mm256_permute4x64_epi64(apart, 0xd8);
  d = _mm256_cvtph_ps(_mm256_castsi256_si128(sorted));
  m = _mm256_cvtph_ps(_mm256_extracti128_si256(sorted, 1));
}

template <class Block>
LLMLOCAL_INLINE __m256 halves_of(const Block* blocks) {
  return _mm256_cvtph_ps(_mm_setr_epi16(static_cast<short>(blocks[0].d),
                                        static_cast<short>(blocks[1].d),
                                        static_cast<short>(blocks[2].d),
                                        static_cast<short>(blocks[3].d),
                                        static_cast<short>(blocks[4].d),
                                        static_cast<short>(blocks[5].d),
                                        static_cast<short>(blocks[6].d),
                                        static_cast<short>(blocks[7].d)));
}

// Eight parts of one block: bytes times the block's own scale.
inline __m256 unsigned_times(std::uint64_t bytes, float scale) {
  const __m256i wide = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(bytes)));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(wide), _mm256_set1_ps(scale));
}
inline __m256 signed_times(__m128i bytes, float scale) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)), _mm256_set1_ps(scale));
}

template <class Weights>
LLMLOCAL_INLINE StretchScales<Weights> stretch_scales(const typename Weights::Block* blocks) {
  if constexpr (Weights::kParts == 1 && Weights::kHasMin) {
    StretchScales<Weights> scales;
    halves_of(blocks, scales.scale[0], scales.min[0]);
    return scales;
  } else if constexpr (Weights::kParts == 1) {
    return with_zero<Weights>(halves_of(blocks));
  } else if constexpr (Weights::kHasMin) {
    const SixBits bytes = six_bits(blocks->scales);
    return {{unsigned_times(bytes.scales, to_float(blocks->d))},
            {unsigned_times(bytes.mins, -to_float(blocks->dmin))}};
  } else {
    const __m128i bytes = Weights::sixteen_scales(*blocks);
    const float d = to_float(blocks->d);
    const auto low = with_zero<Weights>(signed_times(bytes, d));
    const auto high = with_zero<Weights>(signed_times(_mm_unpackhi_epi64(bytes, bytes), d));
    return {{low.scale[0], high.scale[0]}, {low.min[0], high.min[0]}};
  }
}

}  // namespace llmlocal::kernels
