// Rows of numbers, of a KV cache or of weights, as single precision.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/lanes.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

// How each type of numbers is read, eight at a time.
struct HalfRow {
  static constexpr std::size_t kBytes = 2;
  static __m256 load(const char* row, std::int64_t i) {
    return _mm256_cvtph_ps(load_16(row + 2 * i));
  }
};
struct FloatRow {
  static constexpr std::size_t kBytes = 4;
  static __m256 load(const char* row, std::int64_t i) {
    return _mm256_loadu_ps(reinterpret_cast<const float*>(row) + i);
  }
};
struct BrainRow {
  static constexpr std::size_t kBytes = 2;
  static __m256 load(const char* row, std::int64_t i) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_16(row + 2 * i)), 16));
  }
};
struct ByteRow {
  static __m256 load(const char* row, std::int64_t i) {
    const auto& block = reinterpret_cast<const block_q8_0*>(row)[i / QK8_0];
    const __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(block.qs + i % QK8_0));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
                         _mm256_set1_ps(to_float(block.d)));
  }
};

// The last numbers of a row, and zeros: nothing is read beyond it.
template <class Reader>
__m256 load_last(const char* row, std::int64_t from, std::int64_t end) {
  char last[8 * Reader::kBytes] = {};
  const auto first = static_cast<std::size_t>(from) * Reader::kBytes;
  std::memcpy(last, row + first, static_cast<std::size_t>(end) * Reader::kBytes - first);
  return Reader::load(last, 0);
}

template <>
inline __m256 load_last<ByteRow>(const char* row, std::int64_t from, std::int64_t) {
  return ByteRow::load(row, from);  // Rows are whole blocks.
}

inline bool is_readable(ggml_type type) {
  return type == GGML_TYPE_F16 || type == GGML_TYPE_F32 || type == GGML_TYPE_BF16 ||
         type == GGML_TYPE_Q8_0;
}

// Calls `use` with the reader of a type that is_readable().
template <class Use>
void with_reader(ggml_type type, const Use& use) {
  switch (type) {
    case GGML_TYPE_F16:
      return use(HalfRow{});
    case GGML_TYPE_BF16:
      return use(BrainRow{});
    case GGML_TYPE_Q8_0:
      return use(ByteRow{});
    default:
      return use(FloatRow{});
  }
}

}  // namespace llmlocal::kernels
