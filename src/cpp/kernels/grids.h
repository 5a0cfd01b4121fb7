// Types of two and three bits whose weights are looked up four or eight at a time, in ggml's tables
// of their magnitudes (grids); signs are beside them.  Otherwise they are as weights.h has it.
#pragma once

#include "kernels/ggml_internals.h"
// The tables.
#define GGML_COMMON_IMPL_C
#include <ggml-common.h>

#include <cstdint>
#include <cstring>

#include "kernels/lanes.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

inline std::uint32_t four_bytes(const void* from) {
  std::uint32_t bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
  return bytes;
}

// Seven signs are given, and an eighth makes their number even; of four times eight weights.
inline std::uint32_t even_signs(std::uint32_t a,
                                std::uint32_t b,
                                std::uint32_t c,
                                std::uint32_t d) {
  return ksigns_iq2xs[a & 127] | static_cast<std::uint32_t>(ksigns_iq2xs[b & 127]) << 8 |
         static_cast<std::uint32_t>(ksigns_iq2xs[c & 127]) << 16 |
         static_cast<std::uint32_t>(ksigns_iq2xs[d & 127]) << 24;
}

// Magnitudes with their signs, from `zero` on.
inline __m256i signed_from(__m256i magnitudes, std::uint32_t signs, int zero) {
  const __m256i minus = set_bytes(signs);
  const __m256i values = _mm256_sub_epi8(_mm256_xor_si256(magnitudes, minus), minus);
  return _mm256_add_epi8(values, _mm256_set1_epi8(static_cast<char>(zero)));
}

// What a grid has at eight places, or four; `at` tells the place of each.
template <class At>
__m256i eight_of_grid(const std::uint32_t* grid, const At& at) {
  const auto four = [&](int i) { return static_cast<std::int32_t>(grid[at(i)]); };
  return _mm256_setr_epi32(four(0), four(1), four(2), four(3), four(4), four(5), four(6), four(7));
}
template <class At>
__m256i four_of_grid(const std::uint64_t* grid, const At& at) {
  const auto eight = [&](int i) { return static_cast<long long>(grid[at(i)]); };
  return _mm256_setr_epi64x(eight(0), eight(1), eight(2), eight(3));
}

// A scale of four bits stands for odd numbers of a unit.
inline __m256i odd(__m256i scales) {
  return _mm256_add_epi32(_mm256_add_epi32(scales, scales), _mm256_set1_epi32(1));
}

struct IQ3_XXS {
  using Block = block_iq3_xxs;
  static constexpr ggml_type kType = GGML_TYPE_IQ3_XXS;
  static constexpr int kParts = 8, kSpan = 32, kZero = 62, kMostSummed = 1;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 2 : 3;
  static __m256i codes(const Block& block, int part) {
    const std::uint8_t* places = block.qs + 8 * part;
    const std::uint32_t signs = four_bytes(block.qs + 64 + 4 * part);
    return signed_from(eight_of_grid(iq3xxs_grid, [&](int i) { return places[i]; }),
                       even_signs(signs, signs >> 7, signs >> 14, signs >> 21),
                       kZero);
  }
  static __m256i eight_scales(const Block& block) {  // above the signs
    return odd(_mm256_srli_epi32(load_32(block.qs + 64), 28));
  }
};
template <>
inline constexpr float kUnit<IQ3_XXS> = 0.25f;

struct IQ3_S {
  using Block = block_iq3_s;
  static constexpr ggml_type kType = GGML_TYPE_IQ3_S;
  static constexpr int kParts = 8, kSpan = 32, kZero = 15, kMostSummed = 4;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = 2;
  static __m256i codes(const Block& block, int part) {
    const std::uint8_t* places = block.qs + 8 * part;
    const unsigned ninth_bits = block.qh[part];
    const auto at = [&](int i) { return places[i] | (ninth_bits << (8 - i) & 256); };
    return signed_from(eight_of_grid(iq3s_grid, at), four_bytes(block.signs + 4 * part), kZero);
  }
  static __m256i eight_scales(const Block& block) { return odd(eight_nibbles(block.scales)); }
};

struct IQ2_XXS {
  using Block = block_iq2_xxs;
  static constexpr ggml_type kType = GGML_TYPE_IQ2_XXS;
  static constexpr int kParts = 8, kSpan = 32, kZero = 43, kMostSummed = 1;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 2 : 4;
  static __m256i codes(const Block& block, int part) {
    const std::uint16_t* from = block.qs + 4 * part;
    const std::uint32_t places = four_bytes(from), signs = four_bytes(from + 2);
    return signed_from(four_of_grid(iq2xxs_grid, [&](int i) { return places >> 8 * i & 255; }),
                       even_signs(signs, signs >> 7, signs >> 14, signs >> 21),
                       kZero);
  }
  static __m256i eight_scales(const Block& block) {  // above the signs of each part
    const __m256 first = _mm256_castsi256_ps(load_32(block.qs));
    const __m256 last = _mm256_castsi256_ps(load_32(block.qs + 16));
    const __m256i both = _mm256_castps_si256(_mm256_shuffle_ps(first, last, 0xdd));
    return odd(_mm256_srli_epi32(_mm256_permute4x64_epi64(both, 0xd8), 28));
  }
};
template <>
inline constexpr float kUnit<IQ2_XXS> = 0.125f;

// The same scales for both: of 16 weights, half a byte each.
struct IQ2Scales {
  static constexpr int kParts = 8, kSpan = 16, kZero = 43, kMostSummed = 1;
  static constexpr bool kHasMin = false;
  static __m128i odd_nibbles(const std::uint8_t* eight) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(eight));
    const __m128i scales =
        _mm_and_si128(_mm_unpacklo_epi8(bytes, _mm_srli_epi16(bytes, 4)), _mm_set1_epi8(15));
    return _mm_add_epi8(_mm_add_epi8(scales, scales), _mm_set1_epi8(1));
  }
};

struct IQ2_XS : IQ2Scales {
  using Block = block_iq2_xs;
  static constexpr ggml_type kType = GGML_TYPE_IQ2_XS;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 3 : 4;
  static __m256i codes(const Block& block, int part) {
    const std::uint16_t* from = block.qs + 4 * part;
    const auto signs = [&](int i) { return static_cast<std::uint32_t>(from[i]) >> 9; };
    return signed_from(four_of_grid(iq2xs_grid, [&](int i) { return from[i] & 511; }),
                       even_signs(signs(0), signs(1), signs(2), signs(3)),
                       kZero);
  }
  static __m128i sixteen_scales(const Block& block) { return odd_nibbles(block.scales); }
};
template <>
inline constexpr float kUnit<IQ2_XS> = 0.125f;

struct IQ2_S : IQ2Scales {
  using Block = block_iq2_s;
  static constexpr ggml_type kType = GGML_TYPE_IQ2_S;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 2 : 4;
  static __m256i codes(const Block& block, int part) {
    const std::uint8_t* places = block.qs + 4 * part;
    const unsigned high_bits = block.qh[part];
    const auto at = [&](int i) { return places[i] | (high_bits << (8 - 2 * i) & 0x300); };
    return signed_from(four_of_grid(iq2s_grid, at), four_bytes(block.qs + 32 + 4 * part), kZero);
  }
  static __m128i sixteen_scales(const Block& block) { return odd_nibbles(block.scales); }
};
template <>
inline constexpr float kUnit<IQ2_S> = 0.125f;

}  // namespace llmlocal::kernels
