// The scales of a stretch of weights unpacked together: of eight parts of a row, which are eight
// blocks, or one of 256 weights.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/bytes.h"
#include "kernels/lanes.h"
#include "kernels/looked_up.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kStretch = 8;

// The first two halves of eight blocks: d, and mostly m.
struct Halves {
  __m128i first, second;
};
#if LLMLOCAL_AVX512
// Four blocks are in a vector.
LLMLOCAL_INLINE Halves halves_by_fours(const block_q4_1* blocks) {
  const Ints order = _mm512_setr_epi32(0, 5, 10, 15, 16, 21, 26, 31, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i both =
      _mm512_castsi512_si256(_mm512_permutex2var_epi32(load(blocks), order, load(blocks + 4)));
  return {_mm256_cvtepi32_epi16(both), _mm256_cvtepi32_epi16(_mm256_srli_epi32(both, 16))};
}
#endif

// By hand, since GCC 12 takes vectors of such parts through memory, four bytes at a time, and waits
// for them.
template <class Block>
LLMLOCAL_INLINE Halves halves_of(const Block* blocks) {
#if LLMLOCAL_AVX512
  if constexpr (std::is_same_v<Block, block_q4_1>) return halves_by_fours(blocks);
#endif
  const auto both = [&](int i) {
    std::int32_t bytes;
    std::memcpy(&bytes, blocks + i, sizeof(bytes));
    return _mm_cvtsi32_si128(bytes);
  };
  const auto four = [&](int i) {
    return _mm_unpacklo_epi32(_mm_unpacklo_epi16(both(i), both(i + 1)),
                              _mm_unpacklo_epi16(both(i + 2), both(i + 3)));
  };
  const __m128i low = four(0), high = four(4);
  return {_mm_unpacklo_epi64(low, high), _mm_unpackhi_epi64(low, high)};
}

// Of eight blocks of powers of two.
inline __m256i exponents_of(const block_mxfp4* blocks) {
  return _mm256_setr_epi32(blocks[0].e,
                           blocks[1].e,
                           blocks[2].e,
                           blocks[3].e,
                           blocks[4].e,
                           blocks[5].e,
                           blocks[6].e,
                           blocks[7].e);
}

// A weight is scale * code + min here: what makes codes signed (kZero) is a min, too.
struct ScalesAndMins {
  __m256 scales, mins;
};

// Of eight parts, or rows.  Where a scale is for 16 weights there are two vectors of each: for the
// first 16 of the parts, and for the others.
template <int Spans>
struct EightScales {
  __m256 scales[Spans], mins[Spans];
};
template <class Weights>
using ScalesOf = EightScales<kPartLength / Weights::kSpan>;

inline __m256 times(__m256i numbers, float scale) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(numbers), _mm256_set1_ps(scale));
}
inline __m256 floats_of(std::uint64_t eight_bytes) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(static_cast<long long>(eight_bytes))));
}

// Sixteen numbers of one byte, those of each part side by side: of the first spans, and the others.
inline EightScales<2> by_spans(__m128i bytes, float scale) {
  const __m128i order = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
  const __m128i sorted = _mm_shuffle_epi8(bytes, order);
  return {{times(_mm256_cvtepi8_epi32(sorted), scale),
           times(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(sorted, sorted)), scale)},
          {}};
}

// Of a block of 256.
template <class Weights>
LLMLOCAL_INLINE ScalesOf<Weights> block_scales(const typename Weights::Block& block) {
  static_assert(Weights::kParts == kStretch);
  const float scale = to_float(block.d) * kUnit<Weights>;
  if constexpr (Weights::kType == GGML_TYPE_Q2_K) {
    const __m128i bytes = load_16(block.scales), low = _mm_set1_epi8(15);
    ScalesOf<Weights> both = by_spans(_mm_and_si128(bytes, low), scale);
    const ScalesOf<Weights> mins =
        by_spans(_mm_and_si128(_mm_srli_epi16(bytes, 4), low), -to_float(block.dmin));
    both.mins[0] = mins.scales[0];
    both.mins[1] = mins.scales[1];
    return both;
  } else if constexpr (Weights::kHasMin) {
    const SixBits bytes = six_bits(block.scales);
    return {{_mm256_mul_ps(floats_of(bytes.scales), _mm256_set1_ps(scale))},
            {_mm256_mul_ps(floats_of(bytes.mins), _mm256_set1_ps(-to_float(block.dmin)))}};
  } else if constexpr (Weights::kSpan == kPartLength) {
    return {{times(Weights::eight_scales(block), scale)}, {}};
  } else {
    return by_spans(Weights::sixteen_scales(block), scale);
  }
}

// Of a stretch.
template <class Weights>
LLMLOCAL_INLINE ScalesAndMins scales_and_mins(const typename Weights::Block* blocks) {
  __m256 scales;
  if constexpr (Weights::kType == GGML_TYPE_MXFP4) {
    scales = MXFP4::halves_of_powers(exponents_of(blocks));
  } else if constexpr (Weights::kParts == kStretch) {
    static_assert(Weights::kSpan == kPartLength && !Weights::kHasMin);
    scales = block_scales<Weights>(*blocks).scales[0];
  } else {
    const Halves halves = halves_of(blocks);
    scales = _mm256_cvtph_ps(halves.first);
    if constexpr (Weights::kHasMin) return {scales, _mm256_cvtph_ps(halves.second)};
  }
  return {scales, _mm256_mul_ps(scales, _mm256_set1_ps(static_cast<float>(-Weights::kZero)))};
}

}  // namespace llmlocal::kernels
