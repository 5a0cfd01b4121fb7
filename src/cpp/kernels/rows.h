// What an answer computes: a row of weights times one or two columns, straight from the weights.
//
// Rows are read one after the other, as memory likes it best.  Eight parts of a row are a stretch:
// their scales are unpacked together, and their mins (with what makes codes signed) go times the
// sums of a column, eight at once.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/bytes.h"
#include "kernels/lanes.h"
#include "kernels/scales.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kMostRowColumns = 2;  // beyond these, panels are faster

// Of each column, so that none waits for the one before.
template <int Columns>
constexpr int kSums = Columns == 1 ? 4 : 2;

// A column: its parts as bytes, the scale of each, and the sum of the numbers of each.
struct Column {
  const std::int8_t* codes;
  const float* scales;
  const float* sums;
};

constexpr std::size_t column_bytes(std::int64_t parts) {
  return static_cast<std::size_t>(parts) * (kPartLength + 2 * sizeof(float));
}

// A column of `parts` parts in memory of column_bytes(); those from `first` to `last` are filled
// in.
inline Column fill_column(
    const float* from, std::int64_t parts, std::int64_t first, std::int64_t last, char* memory) {
  auto* codes = reinterpret_cast<std::int8_t*>(memory);
  auto* scales = reinterpret_cast<float*>(memory + parts * kPartLength);
  float* sums = scales + parts;
  for (std::int64_t part = first; part < last; ++part) {
    const Bytes bytes = to_bytes(from + part * kPartLength);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + part * kPartLength), bytes.codes);
    scales[part] = bytes.scale;
    sums[part] = bytes.scale * static_cast<float>(bytes.sums[0] + bytes.sums[1]);
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

// Adds the last `Count` parts of the stretch that begins at `first`, times each column, to the
// totals; of these, the ones before `begin` count as zero.
template <class Weights, int Count, int Columns>
LLMLOCAL_INLINE void add_stretch(const typename Weights::Block* row,
                                 std::int64_t first,
                                 int begin,
                                 const Column (&columns)[Columns],
                                 __m256 (&totals)[Columns][kSums<Columns>]) {
  ScalesAndMins of = scales_and_mins<Weights>(row + first);
  if (begin > 0) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256 counted =
        _mm256_castsi256_ps(_mm256_cmpgt_epi32(lanes, _mm256_set1_epi32(begin - 1)));
    of = {_mm256_and_ps(of.scales, counted), _mm256_and_ps(of.mins, counted)};
  }
  alignas(32) float scales[Columns][kStretch];
  for (int c = 0; c < Columns; ++c) {
    _mm256_store_ps(scales[c],
                    _mm256_mul_ps(of.scales, _mm256_loadu_ps(columns[c].scales + first)));
    if constexpr (Weights::kHasMin || Weights::kZero != 0) {
      totals[c][0] =
          _mm256_fmadd_ps(of.mins, _mm256_loadu_ps(columns[c].sums + first), totals[c][0]);
    }
  }
  for (int part = kStretch - Count; part < kStretch; ++part) {
    const __m256i codes = Weights::codes(row[first + part], 0);
    for (int c = 0; c < Columns; ++c) {
      const __m256i products =
          products_of<Weights>(codes, load_32(columns[c].codes + (first + part) * kPartLength));
      __m256& total = totals[c][part % kSums<Columns>];
      total = _mm256_fmadd_ps(
          _mm256_broadcast_ss(scales[c] + part), _mm256_cvtepi32_ps(products), total);
    }
  }
}

// results[c][0] becomes the row times column c.  There are at least kStretch parts.
template <class Weights, int Columns>
LLMLOCAL_NOINLINE void multiply_row(const char* row,
                                    std::int64_t parts,
                                    const Column (&columns)[Columns],
                                    float* const (&results)[Columns]) {
  const auto* blocks = reinterpret_cast<const typename Weights::Block*>(row);
  __m256 totals[Columns][kSums<Columns>];
  for (auto& column : totals) {
    for (__m256& total : column) total = _mm256_setzero_ps();
  }
  std::int64_t part = 0;
  for (; part + kStretch <= parts; part += kStretch) {
    add_stretch<Weights, kStretch>(blocks, part, 0, columns, totals);
  }
  // A last stretch, of which the beginning was added before.
  const std::int64_t last = parts - kStretch;
  const int begin = static_cast<int>(part - last);
  if (begin < kStretch / 2) {
    add_stretch<Weights, kStretch>(blocks, last, begin, columns, totals);
  } else if (begin < kStretch) {
    add_stretch<Weights, kStretch / 2>(blocks, last, begin, columns, totals);
  }
  for (int c = 0; c < Columns; ++c) {
    for (int i = 1; i < kSums<Columns>; ++i) {
      totals[c][0] = _mm256_add_ps(totals[c][0], totals[c][i]);
    }
    *results[c] = sum_of(totals[c][0]);
  }
}

}  // namespace llmlocal::kernels
