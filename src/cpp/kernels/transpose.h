// Numbers of several rows, side by side.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

namespace llmlocal::kernels {

// Eight rows of eight 32-bit numbers become columns, `stride` bytes apart, and are written one
// after the other: where they overlap, the later one holds.
inline void transpose(const __m256i rows[8], void* memory, std::size_t stride) {
  auto* to = static_cast<std::uint8_t*>(memory);
  __m256i pairs[8], fours[8];
  for (int i = 0; i < 4; ++i) {
    pairs[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
    pairs[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
  }
  for (int i = 0; i < 2; ++i) {
    for (int half = 0; half < 2; ++half) {
      const __m256i a = pairs[4 * i + half], b = pairs[4 * i + 2 + half];
      fours[4 * i + 2 * half] = _mm256_unpacklo_epi64(a, b);
      fours[4 * i + 2 * half + 1] = _mm256_unpackhi_epi64(a, b);
    }
  }
  const auto store = [&](int column, __m256i numbers) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + static_cast<std::size_t>(column) * stride),
                        numbers);
  };
  for (int i = 0; i < 4; ++i) store(i, _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x20));
  for (int i = 0; i < 4; ++i) store(i + 4, _mm256_permute2x128_si256(fours[i], fours[4 + i], 0x31));
}

}  // namespace llmlocal::kernels
