// Products with weights that are floats: rows of weights become a panel of single precision, which
// tiles of columns pass.
//
// A panel has kFloatRows rows side by side, a lane for each, and a tile its columns.  So a step
// reads one number of each row, and multiplies it with the same of each column, while all sums are
// in registers.  These begin anew with each panel, and are added to those before it: so long rows
// are summed in parts, and little is rounded off.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kernels/lanes.h"
#include "kernels/readers.h"
#include "kernels/transpose.h"

namespace llmlocal::kernels {

constexpr int kRowVectors = 2;
constexpr int kFloatRows = kRowVectors * kLanes;         // of a panel
constexpr int kFloatColumns = LLMLOCAL_AVX512 ? 12 : 6;  // of a tile, at most
constexpr std::int64_t kDepth = 128;  // numbers of each row: a panel stays in the L1 cache
constexpr std::int64_t kBeyond = 8;   // floats that interleave() may write beyond its last

// Writes numbers of `width` rows side by side: the first of each, the second of each, and so on.
// The last of the `count` rows stands for those that there are not.  Eight rows are turned at a
// time: the lines of more would not stay in the L1 cache, where rows are a large power of two
// apart.  The last ones are first, so that what is written beyond the width is overwritten.
template <class Reader>
LLMLOCAL_NOINLINE void interleave(const char* rows,
                                  std::size_t row_bytes,
                                  int count,
                                  std::int64_t numbers,
                                  float* to,
                                  int width) {
  const std::size_t stride = static_cast<std::size_t>(width) * sizeof(float);
  for (int first = (width - 1) / 8 * 8; first >= 0; first -= 8) {
    const char* eight[8];
    for (int i = 0; i < 8; ++i) {
      eight[i] = rows + static_cast<std::size_t>(std::min(first + i, count - 1)) * row_bytes;
    }
    __m256i read[8];
    std::int64_t k = 0;
    for (; k + 8 <= numbers; k += 8) {
      for (int i = 0; i < 8; ++i) read[i] = _mm256_castps_si256(Reader::load(eight[i], k));
      transpose(read, to + first + k * width, stride);
    }
    if (k == numbers) continue;
    for (int i = 0; i < 8; ++i) {
      read[i] = _mm256_castps_si256(load_last<Reader>(eight[i], k, numbers));
    }
    transpose(read, to + first + k * width, stride);
  }
}

// Asks for what interleave will read: rows side by side are more than the CPU follows by itself.
template <class Reader>
void prefetch_rows(const char* rows, std::size_t row_bytes, int count, std::int64_t numbers) {
  constexpr std::size_t kLine = 64;
  const std::size_t bytes = static_cast<std::size_t>(numbers) * Reader::kBytes;
  for (int row = 0; row < count; ++row) {
    const char* from = rows + static_cast<std::size_t>(row) * row_bytes;
    for (std::size_t at = 0; at < bytes; at += kLine) _mm_prefetch(from + at, _MM_HINT_T1);
  }
}

// Numbers of kFloatRows rows, side by side.
struct Panel {
  const float* numbers;
  std::int64_t stride;  // floats from one number of each row to the next
};
// Where the sums of a panel and a tile come from and go to: a column's are side by side, and
// strides are from one column to the next.
struct Sums {
  const float* before;  // Null stands for zeros.
  std::int64_t before_stride;
  float* to;
  std::int64_t stride;
};
using MultiplyTile = void (*)(Panel panel, std::int64_t depth, const float* tile, Sums sums);

template <int Columns>
LLMLOCAL_NOINLINE void multiply_tile(Panel panel,
                                     std::int64_t depth,
                                     const float* tile,
                                     Sums sums) {
  Floats total[kRowVectors][Columns];
  for (auto& each : total) {
    for (Floats& sum : each) sum = all_floats(0);
  }
  const float* numbers = panel.numbers;
  for (std::int64_t k = 0; k < depth; ++k, numbers += panel.stride, tile += Columns) {
    Floats rows[kRowVectors];
    for (int v = 0; v < kRowVectors; ++v) rows[v] = load_floats(numbers + v * kLanes);
    for (int c = 0; c < Columns; ++c) {
      const Floats column = all_floats(tile[c]);
      for (int v = 0; v < kRowVectors; ++v) {
        total[v][c] = times_plus(rows[v], column, total[v][c]);
      }
    }
  }
  if (sums.before != nullptr) {
    LLMLOCAL_UNROLL
    for (int c = 0; c < Columns; ++c) {
      for (int v = 0; v < kRowVectors; ++v) {
        const Floats before = load_floats(sums.before + c * sums.before_stride + v * kLanes);
        total[v][c] = plus(before, total[v][c]);
      }
    }
  }
  LLMLOCAL_UNROLL
  for (int c = 0; c < Columns; ++c) {
    for (int v = 0; v < kRowVectors; ++v) {
      store_floats(sums.to + c * sums.stride + v * kLanes, total[v][c]);
    }
  }
}

template <std::size_t... Less>
constexpr auto all_tiles(std::index_sequence<Less...>) {
  return std::array<MultiplyTile, sizeof...(Less)>{&multiply_tile<static_cast<int>(Less) + 1>...};
}

// For a tile of so many columns, 1 to kFloatColumns.
inline MultiplyTile tile_product(int columns) {
  static constexpr auto kTiles = all_tiles(std::make_index_sequence<kFloatColumns>{});
  return kTiles[static_cast<std::size_t>(columns - 1)];
}

}  // namespace llmlocal::kernels
