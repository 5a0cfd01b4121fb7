// What an answer computes: a few rows of weights times one to three columns, straight from the
// weights.
//
// Eight parts of a row are a stretch: their scales are unpacked together, and its mins (with what
// makes its codes signed) go times the sums of the columns, eight at once.  Of each part the codes
// are unpacked once for all columns, and eight lanes hold sums of four products.  Several rows go
// side by side, so that no sum waits for the one before.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bytes.h"
#include "kernels/lanes.h"
#include "kernels/scales.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kRowsAtOnce = 4;
constexpr int kMostRowColumns = 3;  // from there on, panels are faster

// A column: its parts as bytes, and for each scale of the weights (one or two a part) the part's
// own scale, and the sum of its numbers.
struct Column {
  const std::int8_t* codes;
  const float* scales;
  const float* sums;
};

template <class Weights>
constexpr std::size_t column_bytes(std::int64_t parts) {
  return static_cast<std::size_t>(parts) *
         (kPartLength + 2 * sizeof(float) * (kPartLength / Weights::kSpan));
}

// A column of `parts` parts in memory of column_bytes(); those from `first` to `last` are filled
// in.
template <class Weights>
Column fill_column(
    const float* from, std::int64_t parts, std::int64_t first, std::int64_t last, char* memory) {
  constexpr int kScales = kPartLength / Weights::kSpan;
  auto* codes = reinterpret_cast<std::int8_t*>(memory);
  auto* scales = reinterpret_cast<float*>(memory + parts * kPartLength);
  float* sums = scales + parts * kScales;
  for (std::int64_t part = first; part < last; ++part) {
    const Bytes bytes = to_bytes(from + part * kPartLength);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + part * kPartLength), bytes.codes);
    for (int s = 0; s < kScales; ++s) {
      const std::int32_t sum = kScales == 1 ? bytes.sums[0] + bytes.sums[1] : bytes.sums[s];
      scales[part * kScales + s] = bytes.scale;
      sums[part * kScales + s] = bytes.scale * static_cast<float>(sum);
    }
  }
  return {codes, scales, sums};
}

// Products of 32 codes with 32, added by fours.
template <class Weights>
LLMLOCAL_INLINE __m256i products_of(__m256i row, __m256i column) {
#if LLMLOCAL_VNNI && LLMLOCAL_AVX512
  return _mm256_dpbusd_epi32(_mm256_setzero_si256(), row, column);
#elif LLMLOCAL_VNNI
  return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), row, column);
#else
  const bool is_signed = Weights::kType == GGML_TYPE_Q8_0;
  const __m256i pairs =
      is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(row), _mm256_sign_epi8(column, row))
                : _mm256_maddubs_epi16(row, column);
  return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
}

inline float sum_of(__m256 values) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

// The scale of each lane of a part.
template <class Weights>
LLMLOCAL_INLINE __m256 scale_of_part(const float* scales, int part) {
  if constexpr (Weights::kSpan == kPartLength) return _mm256_broadcast_ss(scales + part);
  const __m256d both = _mm256_broadcast_sd(reinterpret_cast<const double*>(scales) + part);
  return _mm256_permutevar_ps(_mm256_castpd_ps(both), _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

// Adds the parts of a stretch from `begin` on, of each row with each column, to the totals.
template <class Weights, int Rows, int Columns>
LLMLOCAL_INLINE void add_stretch(const typename Weights::Block* const (&blocks)[Rows],
                                 std::int64_t first,
                                 int begin,
                                 const Column (&columns)[Columns],
                                 __m256 (&totals)[Rows][Columns]) {
  constexpr int kScales = kPartLength / Weights::kSpan;
  alignas(32) float scaled[Rows][Columns][kStretch * kScales];
  for (int r = 0; r < Rows; ++r) {
    StretchScales<Weights> scales = stretch_scales<Weights>(blocks[r] + first / Weights::kParts);
    if (begin > 0) {
      const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
      const __m256i counted = _mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(begin - 1));
      scales.min[0] = _mm256_and_ps(scales.min[0], _mm256_castsi256_ps(counted));
    }
    for (int c = 0; c < Columns; ++c) {
      for (int s = 0; s < kScales; ++s) {
        const std::int64_t at = first * kScales + s * 8;
        _mm256_store_ps(scaled[r][c] + s * 8,
                        _mm256_mul_ps(scales.scale[s], _mm256_loadu_ps(columns[c].scales + at)));
        if constexpr (Weights::kHasMin || Weights::kZero != 0) {
          totals[r][c] =
              _mm256_fmadd_ps(scales.min[s], _mm256_loadu_ps(columns[c].sums + at), totals[r][c]);
        }
      }
    }
  }
  for (int part = begin; part < kStretch; ++part) {
    for (int r = 0; r < Rows; ++r) {
      const __m256i codes = Weights::codes(blocks[r][(first + part) / Weights::kParts],
                                           static_cast<int>((first + part) % Weights::kParts));
      for (int c = 0; c < Columns; ++c) {
        const __m256i products =
            products_of<Weights>(codes, load_32(columns[c].codes + (first + part) * kPartLength));
        totals[r][c] = _mm256_fmadd_ps(
            scale_of_part<Weights>(scaled[r][c], part), _mm256_cvtepi32_ps(products), totals[r][c]);
      }
    }
  }
}

// results[c][r] becomes row r times column c.  There are at least kStretch parts.
template <class Weights, int Rows, int Columns>
LLMLOCAL_NOINLINE void multiply_rows(const char* rows,
                                     std::size_t row_bytes,
                                     std::int64_t parts,
                                     const Column (&columns)[Columns],
                                     float* const (&results)[Columns]) {
  __m256 totals[Rows][Columns];
  const typename Weights::Block* blocks[Rows];
  for (int r = 0; r < Rows; ++r) {
    blocks[r] = reinterpret_cast<const typename Weights::Block*>(
        rows + static_cast<std::size_t>(r) * row_bytes);
    for (int c = 0; c < Columns; ++c) totals[r][c] = _mm256_setzero_ps();
  }
  std::int64_t part = 0;
  for (; part + kStretch <= parts; part += kStretch) {
    add_stretch<Weights, Rows, Columns>(blocks, part, 0, columns, totals);
  }
  if (part < parts) {  // the last stretch, of which the beginning was added before
    const int begin = static_cast<int>(kStretch - (parts - part));
    add_stretch<Weights, Rows, Columns>(blocks, parts - kStretch, begin, columns, totals);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int c = 0; c < Columns; ++c) results[c][r] = sum_of(totals[r][c]);
  }
}

}  // namespace llmlocal::kernels
