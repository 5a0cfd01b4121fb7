// Weights as ggml repacks them for AVX2: blocks of eight rows side by side, whose codes come in
// turns of eight bytes.  What weights.h says of a type holds here too, but for a block's rows.
#pragma once

#include <cstdint>

#include "kernels/ggml_internals.h"
#include "kernels/looked_up.h"
#include "kernels/scales.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kPackedRows = 8;  // of a matrix, in one block
template <class Weights>
constexpr bool kIsPacked = false;

// One row's eight bytes of a turn.
template <class Byte>
inline __m128i eight_of(const Byte* codes, int turn, int row) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + 8 * (kPackedRows * turn + row)));
}
template <class Byte>
inline __m128i sixteen_of(const Byte* codes, int turn, int row) {
  return _mm_unpacklo_epi64(eight_of(codes, turn, row), eight_of(codes, turn + 1, row));
}

template <class Byte>
inline __m256i thirty_two_of(const Byte* codes, int turn, int row) {
  return _mm256_inserti128_si256(
      _mm256_castsi128_si256(sixteen_of(codes, turn, row)), sixteen_of(codes, turn + 2, row), 1);
}

struct PackedQ4_0 {
  using Block = block_q4_0x8;
  static constexpr ggml_type kType = Q4_0::kType;
  static constexpr int kParts = 1, kSpan = 32, kZero = 8, kMostSummed = 8;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int row, int) {  // Each one's highest bit is flipped.
    const __m128i flips = _mm_set1_epi8(static_cast<char>(0x88));
    return nibbles(_mm_xor_si128(sixteen_of(block.qs, 0, row), flips));
  }
  // Of the eight rows.
  static EightScales<1> scales(const Block& block, int) {
    return {{_mm256_cvtph_ps(load_16(block.d))}, {}};
  }
};

// Half a byte a weight, of eight rows, as places in a table.
template <class Type, class PackedBlock>
struct PackedPlaces : Type {
  using Block = PackedBlock;
  static __m256i codes(const Block& block, int row, int) {
    return pairs_looked_up(sixteen_of(block.qs, 0, row), Type::table());
  }
};

struct PackedMXFP4 : PackedPlaces<MXFP4, block_mxfp4x8> {
  static EightScales<1> scales(const Block& block, int) {
    const __m128i exponents = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block.e));
    return {{halves_of_powers(_mm256_cvtepu8_epi32(exponents))}, {}};
  }
};

struct PackedIQ4_NL : PackedPlaces<IQ4_NL, block_iq4_nlx8> {
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 3 : 7;
  static EightScales<1> scales(const Block& block, int) {
    return {{_mm256_cvtph_ps(load_16(block.d))}, {}};
  }
};

struct PackedQ4_K {
  using Block = block_q4_Kx8;
  static constexpr ggml_type kType = Q4_K::kType;
  static constexpr int kParts = 8, kSpan = 32, kZero = 0, kMostSummed = 8;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = 6;
  static __m256i codes(const Block& block, int row, int part) {
    return bits_of(thirty_two_of(block.qs, part / 2 * 4, row), part % 2 * 4, 15);
  }
  static EightScales<1> scales(const Block& block, int part) {
    const SixBits bytes = six_bits(block.scales + 12 * part);
    const __m256 mins = _mm256_mul_ps(floats_of(bytes.mins), _mm256_cvtph_ps(load_16(block.dmin)));
    return {{_mm256_mul_ps(floats_of(bytes.scales), _mm256_cvtph_ps(load_16(block.d)))},
            {_mm256_sub_ps(_mm256_setzero_ps(), mins)}};
  }
};

// For AVX-512 alone.
struct PackedQ2_K {
  using Block = block_q2_Kx8;
  static constexpr ggml_type kType = Q2_K::kType;
  static constexpr int kParts = 8, kSpan = 16, kZero = 0, kMostSummed = 8;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 5 : 8;
  static __m256i codes(const Block& block, int row, int part) {
    return bits_of(thirty_two_of(block.qs, part / 4 * 4, row), part % 4 * 2, 3);
  }
  // Two bytes of each row: scale and min of the first 16 weights, and of the others.
  static EightScales<2> scales(const Block& block, int part) {
    const __m256i bytes = _mm256_cvtepu16_epi32(load_16(block.scales + 16 * part));
    const __m256 scale = _mm256_cvtph_ps(load_16(block.d));
    const __m256 min = _mm256_sub_ps(_mm256_setzero_ps(), _mm256_cvtph_ps(load_16(block.dmin)));
    const auto nibble = [&](int shift, __m256 of) {
      const __m256i number =
          _mm256_and_si256(_mm256_srli_epi32(bytes, shift), _mm256_set1_epi32(15));
      return _mm256_mul_ps(_mm256_cvtepi32_ps(number), of);
    };
    return {{nibble(0, scale), nibble(8, scale)}, {nibble(4, min), nibble(12, min)}};
  }
};

template <>
inline constexpr bool kIsPacked<PackedQ2_K> = true;
template <>
inline constexpr bool kIsPacked<PackedQ4_0> = true;
template <>
inline constexpr bool kIsPacked<PackedQ4_K> = true;
template <>
inline constexpr bool kIsPacked<PackedMXFP4> = true;
template <>
inline constexpr bool kIsPacked<PackedIQ4_NL> = true;

}  // namespace llmlocal::kernels
