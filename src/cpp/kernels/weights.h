// How each type of quantized weights reads as codes of one byte, 32 at a time:
//
//   weight = scale * (code - kZero)     or     scale * code + min
//
// Codes are unsigned, but those of a type that has neither a zero nor a min (kIsSigned).  A scale
// is for kSpan = 32 weights or 16; those of blocks of 256 are unpacked by scales.h.  kMostSummed:
// that many products with codes of activations (-127..127), two at a time, add up in 16 bits.  With
// fewer columns than kFewestColumns, ggml's own products are faster than panels.  Nothing reads
// beyond the block.  Types that look their values up are in looked_up.h and grids.h; types.h lists
// them all.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/ggml_internals.h"
#include "kernels/lanes.h"

namespace llmlocal::kernels {

inline float to_float(ggml_half half) {
  return _cvtsh_ss(half);
}

inline __m128i load_16(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}
inline void store_16(void* to, __m128i bytes) {
  _mm_storeu_si128(static_cast<__m128i*>(to), bytes);
}
inline __m256i load_32(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
inline __m256i bits_of(__m256i values, int shift, char mask) {
  return _mm256_and_si256(_mm256_srl_epi16(values, _mm_cvtsi32_si128(shift)),
                          _mm256_set1_epi8(mask));
}
// 16 bytes of two codes each: those in the low halves come first.
inline __m256i nibbles(__m128i bytes) {
  const __m256i both = _mm256_broadcastsi128_si256(bytes);
  const __m256i shifts = _mm256_setr_epi32(0, 0, 0, 0, 4, 4, 4, 4);
  return _mm256_and_si256(_mm256_srlv_epi32(both, shifts), _mm256_set1_epi8(15));
}
// Of the 32 codes of a block of five-bit ones.
template <class Block>
inline std::uint32_t fifth_bits(const Block& block) {
  std::uint32_t bits;
  std::memcpy(&bits, block.qh, sizeof(bits));
  return bits;
}

// Of four bytes, eight numbers: the low half of each comes first.
inline __m256i eight_nibbles(const std::uint8_t* four) {
  std::int32_t word;
  std::memcpy(&word, four, sizeof(word));
  const __m128i bytes = _mm_cvtsi32_si128(word);
  const __m128i halves = _mm_unpacklo_epi8(bytes, _mm_srli_epi16(bytes, 4));
  return _mm256_cvtepu8_epi32(_mm_and_si128(halves, _mm_set1_epi8(15)));
}

struct Scales {
  float scale, min;
};

// What scales of eight_scales() or sixteen_scales() count, times a block's own.
template <class Weights>
constexpr float kUnit = 1;

template <class Weights>
constexpr bool kIsSigned = Weights::kZero == 0 && !Weights::kHasMin;

struct Q4_0 {
  using Block = block_q4_0;
  static constexpr ggml_type kType = GGML_TYPE_Q4_0;
  static constexpr int kParts = 1, kSpan = 32, kZero = 8, kMostSummed = 8;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int) { return nibbles(load_16(block.qs)); }
  static Scales scales(const Block& block) { return {to_float(block.d), 0}; }
};

struct Q4_1 {
  using Block = block_q4_1;
  static constexpr ggml_type kType = GGML_TYPE_Q4_1;
  static constexpr int kParts = 1, kSpan = 32, kZero = 0, kMostSummed = 8;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int) { return nibbles(load_16(block.qs)); }
  static Scales scales(const Block& block) { return {to_float(block.d), to_float(block.m)}; }
};

struct Q5_0 {
  using Block = block_q5_0;
  static constexpr ggml_type kType = GGML_TYPE_Q5_0;
  static constexpr int kParts = 1, kSpan = 32, kZero = 16, kMostSummed = 4;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int) {
    return _mm256_or_si256(nibbles(load_16(block.qs)), sixteens(fifth_bits(block)));
  }
  static Scales scales(const Block& block) { return {to_float(block.d), 0}; }
};

struct Q5_1 {
  using Block = block_q5_1;
  static constexpr ggml_type kType = GGML_TYPE_Q5_1;
  static constexpr int kParts = 1, kSpan = 32, kZero = 0, kMostSummed = 4;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int) {
    return _mm256_or_si256(nibbles(load_16(block.qs)), sixteens(fifth_bits(block)));
  }
  static Scales scales(const Block& block) { return {to_float(block.d), to_float(block.m)}; }
};

// Products of eight bits do not fit twice into 16 bits: without VNNI codes stay signed, and each
// product is of a magnitude and a sign (products_16).
struct Q8_0 {
  using Block = block_q8_0;
  static constexpr ggml_type kType = GGML_TYPE_Q8_0;
  static constexpr int kParts = 1, kSpan = 32, kZero = LLMLOCAL_VNNI ? 128 : 0, kMostSummed = 1;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 3 : 7;
  static __m256i codes(const Block& block, int) {
    return _mm256_xor_si256(load_32(block.qs), _mm256_set1_epi8(static_cast<char>(kZero)));
  }
  static Scales scales(const Block& block) { return {to_float(block.d), 0}; }
};

// Products of codes with those of activations, added in pairs: of 16 bits each.  Without VNNI.
template <class Weights>
inline Ints products_16(Ints weights, Ints activations) {
  if constexpr (kIsSigned<Weights>) {
    return pairs_8(magnitudes(weights), with_signs(activations, weights));
  }
  return pairs_8(weights, activations);
}

// The scales and the mins of eight parts, six bits each in twelve bytes; a byte each.
struct SixBits {
  std::uint64_t scales, mins;
};
inline SixBits six_bits(const std::uint8_t* packed) {
  std::uint32_t word[3];
  std::memcpy(word, packed, sizeof(word));
  const auto eight = [](std::uint32_t first, std::uint32_t others) {
    return first | static_cast<std::uint64_t>(others) << 32;
  };
  return {eight(word[0] & 0x3f3f3f3f, (word[2] & 0x0f0f0f0f) | (word[0] >> 2 & 0x30303030)),
          eight(word[1] & 0x3f3f3f3f, (word[2] >> 4 & 0x0f0f0f0f) | (word[1] >> 2 & 0x30303030))};
}

struct Q4_K {
  using Block = block_q4_K;
  static constexpr ggml_type kType = GGML_TYPE_Q4_K;
  static constexpr int kParts = 8, kSpan = 32, kZero = 0, kMostSummed = 8;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 3 : 4;
  static __m256i codes(const Block& block, int part) {
    return bits_of(load_32(block.qs + part / 2 * 32), part % 2 * 4, 15);
  }
};

struct Q5_K {
  using Block = block_q5_K;
  static constexpr ggml_type kType = GGML_TYPE_Q5_K;
  static constexpr int kParts = 8, kSpan = 32, kZero = 0, kMostSummed = 4;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int part) {
    const __m256i low = bits_of(load_32(block.qs + part / 2 * 32), part % 2 * 4, 15);
    const __m256i high = bits_of(load_32(block.qh), part, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
  }
};

struct Q6_K {
  using Block = block_q6_K;
  static constexpr ggml_type kType = GGML_TYPE_Q6_K;
  static constexpr int kParts = 8, kSpan = 16, kZero = 32, kMostSummed = 2;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 3 : 4;
  static __m256i codes(const Block& block, int part) {
    const int half = part / 4, quarter = part % 4;
    const __m256i low =
        bits_of(load_32(block.ql + half * 64 + quarter % 2 * 32), quarter / 2 * 4, 15);
    const __m256i high = bits_of(load_32(block.qh + half * 32), quarter * 2, 3);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
  }
  static __m128i sixteen_scales(const Block& block) { return load_16(block.scales); }
};

// Scale and min of 16 weights are the halves of a byte.
struct Q2_K {
  using Block = block_q2_K;
  static constexpr ggml_type kType = GGML_TYPE_Q2_K;
  static constexpr int kParts = 8, kSpan = 16, kZero = 0, kMostSummed = 8;
  static constexpr bool kHasMin = true;
  static constexpr std::int64_t kFewestColumns = LLMLOCAL_VNNI ? 5 : 7;
  static __m256i codes(const Block& block, int part) {
    return bits_of(load_32(block.qs + part / 4 * 32), part % 4 * 2, 3);
  }
};

struct Q3_K {
  using Block = block_q3_K;
  static constexpr ggml_type kType = GGML_TYPE_Q3_K;
  static constexpr int kParts = 8, kSpan = 16, kZero = 4, kMostSummed = 8;
  static constexpr bool kHasMin = false;
  static constexpr std::int64_t kFewestColumns = 3;
  static __m256i codes(const Block& block, int part) {
    const __m256i low = bits_of(load_32(block.qs + part / 4 * 32), part % 4 * 2, 3);
    const __m256i high = bits_of(load_32(block.hmask), part, 1);
    return _mm256_or_si256(low, _mm256_slli_epi16(high, 2));
  }
  // The low four bits of 16 scales are in eight bytes, the high two of four each in four.
  static __m128i sixteen_scales(const Block& block) {
    std::int32_t high;
    std::memcpy(&high, block.scales + 8, sizeof(high));
    const __m128i low = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block.scales));
    const __m128i low_bits =
        _mm_and_si128(_mm_unpacklo_epi64(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    const __m128i high_bits = _mm_and_si128(
        _mm_srlv_epi32(_mm_set1_epi32(high), _mm_setr_epi32(0, 2, 4, 6)), _mm_set1_epi8(3));
    return _mm_sub_epi8(_mm_or_si128(low_bits, _mm_slli_epi16(high_bits, 4)), _mm_set1_epi8(32));
  }
};

}  // namespace llmlocal::kernels
