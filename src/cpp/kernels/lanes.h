// Vectors of the widest kind that this variant of ggml-cpu is compiled for: a lane for each of 8
// rows of a matrix, or 16.
#pragma once

#include <immintrin.h>

#include <cstdint>

// LLMLOCAL_UNROLL: of the loop that follows, so that what it counts through stays in registers.
#if defined(__GNUC__)
#define LLMLOCAL_UNROLL _Pragma("GCC unroll 16")
#define LLMLOCAL_NOINLINE __attribute__((noinline))
#define LLMLOCAL_INLINE inline __attribute__((always_inline))
#else
#define LLMLOCAL_UNROLL
#define LLMLOCAL_NOINLINE __declspec(noinline)
#define LLMLOCAL_INLINE __forceinline
#endif

namespace llmlocal::kernels {

// Each of 32 bits as a byte that is all ones or 0.
inline __m256i set_bytes(std::uint32_t bits) {
  const __m256i bytes = _mm256_shuffle_epi8(
      _mm256_set1_epi32(static_cast<std::int32_t>(bits)),
      _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303));
  const __m256i bit = _mm256_set1_epi64x(static_cast<long long>(0x8040201008040201));
  return _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bit), bit);
}
// Or as one that is 16 or 0.
inline __m256i sixteens(std::uint32_t bits) {
  return _mm256_and_si256(set_bytes(bits), _mm256_set1_epi8(16));
}

#if defined(__AVX512BW__) && defined(__AVX512VL__) && defined(__AVX512DQ__)
#define LLMLOCAL_AVX512 1
constexpr int kLanes = 16;
using Ints = __m512i;
using Floats = __m512;

inline Ints load(const void* from) {
  return _mm512_loadu_si512(from);
}
inline Ints all_ints(std::int32_t value) {
  return _mm512_set1_epi32(value);
}
inline Floats load_floats(const float* from) {
  return _mm512_loadu_ps(from);
}
inline void store_floats(float* to, Floats values) {
  _mm512_storeu_ps(to, values);
}
inline Floats all_floats(float value) {
  return _mm512_set1_ps(value);
}
inline Floats to_floats(Ints values) {
  return _mm512_cvtepi32_ps(values);
}
inline Floats times(Floats a, Floats b) {
  return _mm512_mul_ps(a, b);
}
inline Floats times_plus(Floats a, Floats b, Floats c) {
  return _mm512_fmadd_ps(a, b, c);
}
inline Ints plus(Ints a, Ints b) {
  return _mm512_add_epi32(a, b);
}
inline Ints plus_16(Ints a, Ints b) {
  return _mm512_add_epi16(a, b);
}
inline Ints pairs_16(Ints a, Ints b) {
  return _mm512_madd_epi16(a, b);
}
inline Ints pairs_8(Ints unsigned_a, Ints b) {
  return _mm512_maddubs_epi16(unsigned_a, b);
}
inline Ints all_ones_16() {
  return _mm512_set1_epi16(1);
}
inline Ints magnitudes(Ints bytes) {
  return _mm512_abs_epi8(bytes);
}
inline Floats plus(Floats a, Floats b) {
  return _mm512_add_ps(a, b);
}
// Of each byte those bits that are in the mask, from `shift` on.
inline Ints bits(Ints bytes, int shift, char mask) {
  return _mm512_and_si512(_mm512_srli_epi16(bytes, static_cast<unsigned>(shift)),
                          _mm512_set1_epi8(mask));
}
// Of each byte below 16, what the table has there.
inline Ints looked_up(Ints bytes, __m128i table) {
  return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), bytes);
}
inline Ints flipped(Ints bytes, int mask) {
  return _mm512_xor_si512(bytes, _mm512_set1_epi8(static_cast<char>(mask)));
}
// Bytes below 16, with 16 added where a bit is set.
inline Ints with_sixteens(Ints bytes, std::uint64_t set) {
  return _mm512_mask_add_epi8(bytes, set, bytes, _mm512_set1_epi8(16));
}
inline Ints with_signs(Ints bytes, Ints of) {
  return _mm512_mask_sub_epi8(bytes, _mm512_movepi8_mask(of), _mm512_setzero_si512(), bytes);
}
#else
#define LLMLOCAL_AVX512 0
constexpr int kLanes = 8;
using Ints = __m256i;
using Floats = __m256;

inline Ints load(const void* from) {
  return _mm256_loadu_si256(static_cast<const Ints*>(from));
}
inline Ints all_ints(std::int32_t value) {
  return _mm256_set1_epi32(value);
}
inline Floats load_floats(const float* from) {
  return _mm256_loadu_ps(from);
}
inline void store_floats(float* to, Floats values) {
  _mm256_storeu_ps(to, values);
}
inline Floats all_floats(float value) {
  return _mm256_set1_ps(value);
}
inline Floats to_floats(Ints values) {
  return _mm256_cvtepi32_ps(values);
}
inline Floats times(Floats a, Floats b) {
  return _mm256_mul_ps(a, b);
}
inline Floats times_plus(Floats a, Floats b, Floats c) {
  return _mm256_fmadd_ps(a, b, c);
}
inline Ints plus(Ints a, Ints b) {
  return _mm256_add_epi32(a, b);
}
inline Ints plus_16(Ints a, Ints b) {
  return _mm256_add_epi16(a, b);
}
inline Ints pairs_16(Ints a, Ints b) {
  return _mm256_madd_epi16(a, b);
}
inline Ints pairs_8(Ints unsigned_a, Ints b) {
  return _mm256_maddubs_epi16(unsigned_a, b);
}
inline Ints all_ones_16() {
  return _mm256_set1_epi16(1);
}
inline Ints magnitudes(Ints bytes) {
  return _mm256_abs_epi8(bytes);
}
inline Floats plus(Floats a, Floats b) {
  return _mm256_add_ps(a, b);
}
// Of each byte those bits that are in the mask, from `shift` on.
inline Ints bits(Ints bytes, int shift, char mask) {
  return _mm256_and_si256(_mm256_srli_epi16(bytes, shift), _mm256_set1_epi8(mask));
}
// Of each byte below 16, what the table has there.
inline Ints looked_up(Ints bytes, __m128i table) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(table), bytes);
}
inline Ints flipped(Ints bytes, int mask) {
  return _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(mask)));
}
// Bytes below 16, with 16 added where a bit is set.
inline Ints with_sixteens(Ints bytes, std::uint64_t set) {
  return _mm256_or_si256(bytes, sixteens(static_cast<std::uint32_t>(set)));
}
inline Ints with_signs(Ints bytes, Ints of) {
  return _mm256_sign_epi8(bytes, of);
}
#endif

// Keeps the compiler from reordering sums, which then do not fit into the registers: GCC 12 makes
// half the speed of some.
inline void keep_order([[maybe_unused]] Ints& sum) {
#if defined(__GNUC__) && LLMLOCAL_AVX512
  asm("" : "+v"(sum));
#elif defined(__GNUC__)
  asm("" : "+x"(sum));
#endif
}

// Four products of bytes added to each lane in one instruction; no sum between is cut off.
#if LLMLOCAL_AVX512 && defined(__AVX512VNNI__)
#define LLMLOCAL_VNNI 1
inline Ints fours_8(Ints sum, Ints unsigned_a, Ints b) {
  return _mm512_dpbusd_epi32(sum, unsigned_a, b);
}
#elif !LLMLOCAL_AVX512 && defined(__AVXVNNI__)
#define LLMLOCAL_VNNI 1
inline Ints fours_8(Ints sum, Ints unsigned_a, Ints b) {
  return _mm256_dpbusd_avx_epi32(sum, unsigned_a, b);
}
#else
#define LLMLOCAL_VNNI 0
#endif

constexpr const char* kInstructions = LLMLOCAL_AVX512 ? (LLMLOCAL_VNNI ? "AVX-512 VNNI" : "AVX-512")
                                                      : (LLMLOCAL_VNNI ? "AVX-VNNI" : "AVX2");

}  // namespace llmlocal::kernels
