// The inner parts of attention: a tile of up to 64 keys against some queries.  All sums are floats.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kernels/exponentials.h"
#include "kernels/lanes.h"
#include "kernels/readers.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr std::int64_t kTileKeys = 64;
constexpr std::int64_t kQueries = 32;  // of one block

constexpr int kAtOnce = LLMLOCAL_AVX512 ? 4 : 3;  // queries, so that all sums are in registers
constexpr std::uint16_t kMasked = 0xfc00;         // minus infinity

struct Rows {
  const char* data;
  std::size_t stride;
  ggml_type type;
};

// Reads each line of so many bytes.  A load and not a prefetch, which a CPU may drop.
inline void read_lines(const char* from, std::size_t bytes) {
  constexpr std::size_t kLine = 64;
  for (std::size_t i = 0; i < bytes; i += kLine) {
    static_cast<void>(*static_cast<const volatile char*>(from + i));
  }
}

// The same rows as floats.
inline Rows widened(const Rows& rows, std::int64_t count, std::int64_t size, float* to) {
  if (rows.type == GGML_TYPE_F32) return rows;
  with_reader(rows.type, [&](auto reader) {
    for (std::int64_t row = 0; row < count; ++row) {
      const char* from = rows.data + static_cast<std::size_t>(row) * rows.stride;
      for (std::int64_t i = 0; i < size; i += 8) {
        _mm256_storeu_ps(to + row * size + i, reader.load(from, i));
      }
    }
  });
  return {reinterpret_cast<const char*>(to),
          static_cast<std::size_t>(size) * sizeof(float),
          GGML_TYPE_F32};
}

// The sums of four vectors' lanes.
inline __m128 sums_of(__m256 a, __m256 b, __m256 c, __m256 d) {
  const __m256 all = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
  return _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1));
}

template <class Reader, int Queries>
LLMLOCAL_NOINLINE void scores_of(
    const Rows& keys, std::int64_t count, std::int64_t size, const float* queries, float* scores) {
  for (std::int64_t key = 0; key < count; key += 4) {
    const char* rows[4];
    for (std::int64_t i = 0; i < 4; ++i) {  // The last one stands for those that there are not.
      const std::int64_t row = key + i < count ? key + i : count - 1;
      rows[i] = keys.data + static_cast<std::size_t>(row) * keys.stride;
    }
    __m256 sums[Queries][4];
    for (auto& each : sums) {
      for (__m256& sum : each) sum = _mm256_setzero_ps();
    }
    for (std::int64_t i = 0; i < size; i += 8) {
      __m256 query[Queries];
      for (int q = 0; q < Queries; ++q) query[q] = _mm256_loadu_ps(queries + q * size + i);
      for (int r = 0; r < 4; ++r) {
        const __m256 row = Reader::load(rows[r], i);
        for (int q = 0; q < Queries; ++q) sums[q][r] = _mm256_fmadd_ps(query[q], row, sums[q][r]);
      }
    }
    for (int q = 0; q < Queries; ++q) {
      _mm_storeu_ps(scores + q * kTileKeys + key,
                    sums_of(sums[q][0], sums[q][1], sums[q][2], sums[q][3]));
    }
  }
}

// The products of `queries` with `count` keys: kTileKeys scores for each query.
inline void compute_scores(const Rows& keys,
                           std::int64_t count,
                           std::int64_t size,
                           const float* queries,
                           std::int64_t query_count,
                           float* scores) {
  with_reader(keys.type, [&](auto reader) {
    using Reader = decltype(reader);
    for (std::int64_t q = 0; q < query_count; q += kAtOnce) {
      const float* from = queries + q * size;
      float* to = scores + q * kTileKeys;
      switch (query_count - q) {
        case 1:
          scores_of<Reader, 1>(keys, count, size, from, to);
          break;
        case 2:
          scores_of<Reader, 2>(keys, count, size, from, to);
          break;
        case 3:
          scores_of<Reader, 3>(keys, count, size, from, to);
          break;
        default:
          scores_of<Reader, kAtOnce>(keys, count, size, from, to);
      }
    }
  });
}

// The rows of a tile that some query gives a weight: what a masked key holds may be anything.
struct Seen {
  std::int64_t count = 0;
  std::uint8_t rows[kTileKeys];
};

inline Seen seen_by(const float* weights, std::int64_t query_count, std::int64_t count) {
  Seen seen;
  for (std::int64_t first = 0; first < count; first += 8) {
    __m256 any = _mm256_setzero_ps();
    for (std::int64_t q = 0; q < query_count; ++q) {
      any = _mm256_or_ps(any, _mm256_loadu_ps(weights + q * kTileKeys + first));
    }
    const __m256 is_seen = _mm256_cmp_ps(any, _mm256_setzero_ps(), _CMP_NEQ_UQ);
    const int bits = _mm256_movemask_ps(is_seen);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(8, count - first); ++i) {
      seen.rows[seen.count] = static_cast<std::uint8_t>(first + i);
      seen.count += bits >> i & 1;
    }
  }
  return seen;
}

template <class Reader, int Queries, int Vectors>
LLMLOCAL_NOINLINE void values_of(const Rows& values,
                                 const Seen& seen,
                                 std::int64_t first,
                                 std::int64_t size,
                                 const float* weights,
                                 float* sums) {
  __m256 total[Queries][Vectors];
  for (int q = 0; q < Queries; ++q) {
    for (int i = 0; i < Vectors; ++i) {
      total[q][i] = _mm256_loadu_ps(sums + q * size + first + 8 * i);
    }
  }
  for (std::int64_t i = 0; i < seen.count; ++i) {
    const std::size_t row = seen.rows[i];
    const char* from = values.data + row * values.stride;
    __m256 weight[Queries];
    for (int q = 0; q < Queries; ++q) {
      weight[q] = _mm256_broadcast_ss(weights + static_cast<std::size_t>(q) * kTileKeys + row);
    }
    for (int i = 0; i < Vectors; ++i) {
      const __m256 value = Reader::load(from, first + 8 * i);
      for (int q = 0; q < Queries; ++q) {
        total[q][i] = _mm256_fmadd_ps(weight[q], value, total[q][i]);
      }
    }
  }
  for (int q = 0; q < Queries; ++q) {
    for (int i = 0; i < Vectors; ++i) {
      _mm256_storeu_ps(sums + q * size + first + 8 * i, total[q][i]);
    }
  }
}

// Adds the values that are seen, weighted, to each query's sums.
inline void add_values(const Rows& values,
                       const Seen& seen,
                       std::int64_t size,
                       const float* weights,
                       std::int64_t query_count,
                       float* sums) {
  with_reader(values.type, [&](auto reader) {
    using Reader = decltype(reader);
    const auto add = [&](auto queries, auto vectors, std::int64_t first, std::int64_t q) {
      values_of<Reader, queries, vectors>(
          values, seen, first, size, weights + q * kTileKeys, sums + q * size);
    };
    using std::integral_constant;
    for (std::int64_t q = 0; q < query_count; q += kAtOnce) {
      const auto part = [&](auto queries) {
        std::int64_t first = 0;
        for (; first + 32 <= size; first += 32) add(queries, integral_constant<int, 4>{}, first, q);
        for (; first < size; first += 8) add(queries, integral_constant<int, 1>{}, first, q);
      };
      switch (query_count - q) {
        case 1:
          part(integral_constant<int, 1>{});
          break;
        case 2:
          part(integral_constant<int, 2>{});
          break;
        case 3:
          part(integral_constant<int, 3>{});
          break;
        default:
          part(integral_constant<int, kAtOnce>{});
      }
    }
  });
}

inline void multiply_all(float* values, std::int64_t size, float factor) {
  for (std::int64_t i = 0; i < size; ++i) values[i] *= factor;
}

// Makes a tile's scores weights: e to the power of what each is above the largest so far.  Returns
// what earlier sums must be multiplied by, since the largest may have grown.
inline float weigh(float* scores,
                   std::int64_t count,
                   const std::uint16_t* mask,
                   float slope,
                   float softcap,
                   float& largest,
                   float& weights) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const __m256 none = _mm256_set1_ps(kNone);
  std::uint16_t near_mask[kTileKeys];
  if (mask != nullptr) {  // A whole tile of it, so that none is read beyond its end.
    std::memcpy(near_mask, mask, static_cast<std::size_t>(count) * sizeof(*mask));
  }
  for (std::int64_t i = count; i < kTileKeys; ++i) {
    near_mask[i] = 0;
    scores[i] = kNone;
  }
  const std::int64_t end = (count + 7) / 8 * 8;
  __m256 most = none;
  for (std::int64_t i = 0; i < end; i += 8) {
    __m256 score = _mm256_loadu_ps(scores + i);
    if (softcap != 0) {
      score = _mm256_mul_ps(_mm256_set1_ps(softcap), tanh_of(score));
      const __m256i index = _mm256_add_epi32(_mm256_set1_epi32(static_cast<int>(i)),
                                             _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)), index);
      score = _mm256_blendv_ps(none, score, _mm256_castsi256_ps(inside));
    }
    if (mask != nullptr) {
      const __m256 added = _mm256_cvtph_ps(load_16(near_mask + i));
      const __m256 hidden = _mm256_cmp_ps(added, none, _CMP_EQ_OQ);
      score = _mm256_fmadd_ps(_mm256_set1_ps(slope), added, score);
      score = _mm256_blendv_ps(score, none, hidden);
    }
    _mm256_storeu_ps(scores + i, score);
    most = _mm256_max_ps(score, most);
  }
  __m128 half = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  half = _mm_max_ss(half, _mm_movehdup_ps(half));
  const float bound = std::max(largest, _mm_cvtss_f32(half));
  if (bound == kNone) {  // All are masked.
    for (std::int64_t i = 0; i < end; ++i) scores[i] = 0;
    return 1;
  }
  __m256 sum = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < end; i += 8) {
    const __m256 weight = exp_of(_mm256_sub_ps(_mm256_loadu_ps(scores + i), _mm256_set1_ps(bound)));
    _mm256_storeu_ps(scores + i, weight);
    sum = _mm256_add_ps(sum, weight);
  }
  const __m128 total = sums_of(sum, sum, sum, sum);
  const float factor = largest == kNone ? 0 : std::exp(largest - bound);
  weights = weights * factor + _mm_cvtss_f32(total);
  largest = bound;
  return factor;
}

}  // namespace llmlocal::kernels
