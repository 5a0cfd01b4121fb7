// What an answer computes: a row of weights times one or two columns, straight from the weights.
//
// Rows are read one after the other, as memory likes it best.  Eight parts of a row are a stretch:
// their scales are unpacked together, and their mins (with what makes codes signed) go times the
// sums of a column, eight at once.  Of the codes, as many parts are taken together as a vector has
// quarters of 128 bits: the first 16 codes of each, then the others, so that what a part gives is
// four lanes of one vector.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/bytes.h"
#include "kernels/lanes.h"
#include "kernels/looked_up.h"
#include "kernels/packed.h"
#include "kernels/places.h"
#include "kernels/scales.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kMostRowColumns = 2;     // beyond these, panels are faster
constexpr int kTogether = kLanes / 4;  // parts

// Rows of K-quants, and rows that ggml has repacked, are read by panels alone; ggml's own products
// with one column are faster than these.
template <class Weights>
constexpr bool kHasRows = (Weights::kParts == 1 || kHasTable<Weights>) && !kIsPacked<Weights>;

// A column of activations, with zeros up to a whole stretch.
struct Column {
  const std::int8_t* codes;  // of kTogether parts: the first 16 of each, and then the others
  const float* scales;       // of each part
  const float* sums;         // of the numbers of each part
};

constexpr std::int64_t padded_parts(std::int64_t parts) {
  return (parts + kStretch - 1) / kStretch * kStretch;
}
constexpr std::size_t column_bytes(std::int64_t parts) {
  return static_cast<std::size_t>(padded_parts(parts)) * (kPartLength + 2 * sizeof(float));
}

// The column of `parts` parts in memory of column_bytes().
inline Column column_at(const char* memory, std::int64_t parts) {
  const std::int64_t padded = padded_parts(parts);
  const auto* scales = reinterpret_cast<const float*>(memory + padded * kPartLength);
  return {reinterpret_cast<const std::int8_t*>(memory), scales, scales + padded};
}

// Makes the column of `parts` parts in memory of column_bytes(); those from `first` to `last` are
// filled in.
inline Column fill_column(
    const float* from, std::int64_t parts, std::int64_t first, std::int64_t last, char* memory) {
  const std::int64_t padded = padded_parts(parts);
  auto* codes = reinterpret_cast<std::int8_t*>(memory);
  auto* scales = reinterpret_cast<float*>(memory + padded * kPartLength);
  float* sums = scales + padded;
  const auto place = [&](std::int64_t part, const Bytes& bytes) {
    std::int8_t* to = codes + part / kTogether * kTogether * kPartLength + part % kTogether * 16;
    store_16(to, _mm256_castsi256_si128(bytes.codes));
    store_16(to + kTogether * 16, _mm256_extracti128_si256(bytes.codes, 1));
    scales[part] = bytes.scale;
    sums[part] = bytes.scale * static_cast<float>(bytes.sums[0] + bytes.sums[1]);
  };
  for (std::int64_t part = first; part < last; ++part) {
    place(part, to_bytes(from + part * kPartLength));
  }
  if (last == parts) {
    for (std::int64_t part = parts; part < padded; ++part) place(part, Bytes{});
  }
  return column_at(memory, parts);
}

// The codes of kTogether parts: the first 16 of each, and the others.
struct Codes {
  Ints low, high;
};

// 16 bytes of each of kTogether parts, `offset` into its codes.  A stretch is eight blocks, or one
// of 256.
template <class Weights>
LLMLOCAL_INLINE Ints sixteen_of_each(const typename Weights::Block* stretch,
                                     const int (&parts)[kTogether],
                                     int offset) {
  const auto at = [&](int i) {
    if constexpr (Weights::kParts == 1) return load_16(stretch[parts[i]].qs + offset);
    return load_16(stretch->qs + 16 * parts[i] + offset);
  };
#if LLMLOCAL_AVX512
  const __m256i first = _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
  const __m256i last = _mm256_inserti128_si256(_mm256_castsi128_si256(at(2)), at(3), 1);
  return _mm512_inserti64x4(_mm512_castsi256_si512(first), last, 1);
#else
  return _mm256_inserti128_si256(_mm256_castsi128_si256(at(0)), at(1), 1);
#endif
}

template <class Weights>
LLMLOCAL_INLINE Codes codes_of(const typename Weights::Block* stretch,
                               const int (&parts)[kTogether]) {
  if constexpr (Weights::kType == GGML_TYPE_Q8_0) {
    const auto read = [&](int offset) {
      return flipped(sixteen_of_each<Weights>(stretch, parts, offset), Weights::kZero);
    };
    return {read(0), read(16)};
  } else {
    const Ints both = sixteen_of_each<Weights>(stretch, parts, 0);
    Codes codes{bits(both, 0, 15), bits(both, 4, 15)};
    if constexpr (kHasTable<Weights>) {
      codes = {looked_up(codes.low, Weights::table()), looked_up(codes.high, Weights::table())};
    }
    if constexpr (Weights::kType == GGML_TYPE_Q5_0 || Weights::kType == GGML_TYPE_Q5_1) {
      std::uint64_t low = 0, high = 0;
      for (int i = 0; i < kTogether; ++i) {
        const std::uint32_t fifths = fifth_bits(stretch[parts[i]]);
        low |= static_cast<std::uint64_t>(fifths & 0xffff) << 16 * i;
        high |= static_cast<std::uint64_t>(fifths >> 16) << 16 * i;
      }
      codes = {with_sixteens(codes.low, low), with_sixteens(codes.high, high)};
    }
    return codes;
  }
}

// The products of codes with those of a column, added by fours and low with high.
template <class Weights>
LLMLOCAL_INLINE Ints products_of(const Codes& row, const std::int8_t* column) {
  const Ints low = load(column), high = load(column + kTogether * 16);
#if LLMLOCAL_VNNI
  return fours_8(fours_8(all_ints(0), row.low, low), row.high, high);
#else
  const Ints low_pairs = products_16<Weights>(row.low, low);
  const Ints high_pairs = products_16<Weights>(row.high, high);
  if constexpr (Weights::kMostSummed == 1) {
    return plus(pairs_16(low_pairs, all_ones_16()), pairs_16(high_pairs, all_ones_16()));
  }
  return pairs_16(plus_16(low_pairs, high_pairs), all_ones_16());
#endif
}

// Numbers of kTogether parts, those from `first` in a stretch, four times each.
LLMLOCAL_INLINE Floats four_times(__m256 stretch, int first) {
#if LLMLOCAL_AVX512
  const __m512i order = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
  return _mm512_permutexvar_ps(_mm512_add_epi32(order, _mm512_set1_epi32(first)),
                               _mm512_castps256_ps512(stretch));
#else
  const __m256i order = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  return _mm256_permutevar8x32_ps(stretch, _mm256_add_epi32(order, _mm256_set1_epi32(first)));
#endif
}

inline float sum_of(__m256 values) {
  __m128 sum = _mm_add_ps(_mm256_castps256_ps128(values), _mm256_extractf128_ps(values, 1));
  sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
  return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

// The last `count` numbers of a stretch, and zeros after them.
inline __m256 last_of(__m256 stretch, int count) {
  const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i from = _mm256_add_epi32(lanes, _mm256_set1_epi32(kStretch - count));
  const __m256i is_there = _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lanes);
  return _mm256_and_ps(_mm256_permutevar8x32_ps(stretch, from), _mm256_castsi256_ps(is_there));
}

// Of a row times a column.
struct Total {
  Floats products[2] = {all_floats(0), all_floats(0)};  // so that none waits for the one before
  __m256 mins = _mm256_setzero_ps();

  float sum() const {
    const Floats all = plus(products[0], products[1]);
#if LLMLOCAL_AVX512
    const __m256 half = _mm512_castps512_ps256(all), other = _mm512_extractf32x8_ps(all, 1);
    return sum_of(_mm256_add_ps(_mm256_add_ps(half, other), mins));
#else
    return sum_of(_mm256_add_ps(all, mins));
#endif
  }
};

// Adds `count` parts of a row, those from part `first` on, times each column, to the totals.  `of`
// has the scales and mins of these, and zeros for what is missing to a stretch.
template <class Weights, int Columns>
LLMLOCAL_INLINE void add_stretch(const typename Weights::Block* stretch,
                                 std::int64_t first,
                                 int count,
                                 const ScalesAndMins& of,
                                 const Column (&columns)[Columns],
                                 Total (&totals)[Columns]) {
  __m256 scales[Columns];
  for (int c = 0; c < Columns; ++c) {
    scales[c] = _mm256_mul_ps(of.scales, _mm256_loadu_ps(columns[c].scales + first));
    if constexpr (Weights::kHasMin || Weights::kZero != 0) {
      totals[c].mins =
          _mm256_fmadd_ps(of.mins, _mm256_loadu_ps(columns[c].sums + first), totals[c].mins);
    }
  }
  for (int part = 0; part < kStretch; part += kTogether) {
    if (part >= count) break;  // A length that is known, so that the sums stay in registers.
    int parts[kTogether];
    for (int i = 0; i < kTogether; ++i) {  // The last one stands for those that there are not.
      parts[i] = std::min(part + i, count - 1);
    }
    const Codes codes = codes_of<Weights>(stretch, parts);
    for (int c = 0; c < Columns; ++c) {
      const Ints products =
          products_of<Weights>(codes, columns[c].codes + (first + part) * kPartLength);
      Floats& total = totals[c].products[part / kTogether % 2];
      total = times_plus(four_times(scales[c], part), to_floats(products), total);
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
  const auto from = [&](std::int64_t part) { return blocks + part / Weights::kParts; };
  Total totals[Columns];
  std::int64_t part = 0;
  for (; part + kStretch <= parts; part += kStretch) {
    const ScalesAndMins of = scales_and_mins<Weights>(from(part));
    add_stretch<Weights>(from(part), part, kStretch, of, columns, totals);
  }
  if (part < parts) {
    const auto count = static_cast<int>(parts - part);
    const ScalesAndMins all = scales_and_mins<Weights>(from(parts - kStretch));
    const ScalesAndMins of{last_of(all.scales, count), last_of(all.mins, count)};
    add_stretch<Weights>(from(part), part, count, of, columns, totals);
  }
  for (int c = 0; c < Columns; ++c) *results[c] = totals[c].sum();
}

// Reads from each page that begins in this memory.  CPUs do not read ahead into the next page, and
// drop a prefetch whose page they do not know: where pages are small, as those of a mapped file
// are, an answer's weights would come with a pause after every 4 kB.
inline void touch_pages(const char* from, const char* end) {
  constexpr std::uintptr_t kPage = 4096;
  const auto first = (reinterpret_cast<std::uintptr_t>(from) + kPage - 1) / kPage * kPage;
  for (const auto* page = reinterpret_cast<const char*>(first); page < end; page += kPage) {
    static_cast<void>(*static_cast<const volatile char*>(page));
  }
}

// results[c][row] becomes each of so many rows times column c.
template <class Weights, int Columns>
void multiply_rows(const Matrix& weights,
                   std::int64_t first,
                   std::int64_t last,
                   const Column (&columns)[Columns],
                   float* const (&results)[Columns]) {
  constexpr std::size_t kAhead = 4096;
  const auto row_at = [&](std::int64_t row) {
    return weights.data + static_cast<std::size_t>(row) * weights.row_bytes;
  };
  const auto length = static_cast<std::size_t>(weights.parts / Weights::kParts);
  const char* end = row_at(weights.rows - 1) + length * sizeof(typename Weights::Block);
  for (std::int64_t row = first; row < last; ++row) {
    const char* from = row_at(row);
    touch_pages(std::min(from + kAhead, end), std::min(from + kAhead + weights.row_bytes, end));
    float* to[Columns];
    for (int c = 0; c < Columns; ++c) to[c] = results[c] + row;
    multiply_row<Weights>(from, weights.parts, columns, to);
  }
}

}  // namespace llmlocal::kernels
