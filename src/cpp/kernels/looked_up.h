// Types of four-bit weights that a table gives their values: the numbers of four bits that gpt-oss
// has (MXFP4), and those that lie closer together near zero (IQ4).  Otherwise they are as weights.h
// has it.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/ggml_internals.h"
#include "kernels/lanes.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

// 16 bytes of two places in a table each: what it has there, the low halves' first.
inline __m256i pairs_looked_up(__m128i bytes, __m128i table) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), nibbles(bytes));
}

// A sign, two bits of exponent and one of mantissa: here in halves, -12 to 12.  The scale of 32 is
// a power of two, given by its exponent.
struct MXFP4 {
  using Block = block_mxfp4;
  static constexpr ggml_type kType = GGML_TYPE_MXFP4;
  static constexpr int kParts = 1, kSpan = 32, kZero = 12, kMostSummed = 4;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m128i table() {
    const __m128i halves = _mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    return _mm_add_epi8(halves, _mm_set1_epi8(kZero));
  }
  static __m256i codes(const Block& block, int) {
    return pairs_looked_up(load_16(block.qs), table());
  }
  static Scales scales(const Block& block) { return {half_of_power(block.e), 0}; }

  // Half of 2^(exponent - 127); the least two are too small for a float's own exponent.
  static float half_of_power(std::uint8_t exponent) {
    const std::uint32_t bits =
        exponent < 2 ? 0x00200000u << exponent : static_cast<std::uint32_t>(exponent - 1) << 23;
    float power;
    std::memcpy(&power, &bits, sizeof(power));
    return power;
  }
  static __m256 halves_of_powers(__m256i exponents) {
    const __m256i one = _mm256_set1_epi32(1);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(exponents, one), 23);
    const __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), exponents);
    const __m256i is_normal = _mm256_cmpgt_epi32(exponents, one);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(small, normal, is_normal));
  }
};

// The 16 values of IQ4 need eight bits.  As with Q8_0, products of two of them do not fit twice
// into 16 bits: without VNNI codes stay signed.
struct IQ4Values {
  static constexpr int kZero = LLMLOCAL_VNNI ? 128 : 0, kMostSummed = 1;
  static constexpr bool kHasMin = false;
  static __m128i table() {
    const __m128i values =
        _mm_setr_epi8(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return _mm_xor_si128(values, _mm_set1_epi8(static_cast<char>(kZero)));
  }
};

struct IQ4_NL : IQ4Values {
  using Block = block_iq4_nl;
  static constexpr ggml_type kType = GGML_TYPE_IQ4_NL;
  static constexpr int kParts = 1, kSpan = 32;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 3 : 4;
  static __m256i codes(const Block& block, int) {
    return pairs_looked_up(load_16(block.qs), table());
  }
  static Scales scales(const Block& block) { return {to_float(block.d), 0}; }
};

struct IQ4_XS : IQ4Values {
  using Block = block_iq4_xs;
  static constexpr ggml_type kType = GGML_TYPE_IQ4_XS;
  static constexpr int kParts = 8, kSpan = 32;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int part) {
    return pairs_looked_up(load_16(block.qs + 16 * part), table());
  }
  // Six bits each, from -32 on: the low four in half a byte, the high two in a part of scales_h.
  static __m256i eight_scales(const Block& block) {
    const __m256i high =
        _mm256_and_si256(_mm256_srlv_epi32(_mm256_set1_epi32(block.scales_h),
                                           _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14)),
                         _mm256_set1_epi32(3));
    return _mm256_sub_epi32(
        _mm256_or_si256(eight_nibbles(block.scales_l), _mm256_slli_epi32(high, 4)),
        _mm256_set1_epi32(32));
  }
};

template <class Weights>
constexpr bool kHasTable = false;
template <>
inline constexpr bool kHasTable<MXFP4> = true;
template <>
inline constexpr bool kHasTable<IQ4_NL> = true;
template <>
inline constexpr bool kHasTable<IQ4_XS> = true;

}  // namespace llmlocal::kernels
