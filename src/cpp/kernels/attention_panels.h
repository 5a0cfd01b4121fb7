// Attention of many queries to a tile of keys, as products of floats: keys side by side are a
// panel, which tiles of queries pass, and so are the values, whose tiles are the weights.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/attention_tile.h"
#include "kernels/float_panels.h"
#include "kernels/float_tiles.h"
#include "kernels/readers.h"

namespace llmlocal::kernels {

// Makes tiles of queries, or of their weights, `stride` floats apart.
inline void fill_tiles(
    const Tiles& tiles, const float* rows, std::int64_t stride, std::int64_t numbers, float* to) {
  const std::size_t row_bytes = static_cast<std::size_t>(stride) * sizeof(float);
  for (std::int64_t tile = 0; tile < tiles.count; ++tile) {
    const auto* from = reinterpret_cast<const char*>(rows + tiles.first(tile) * stride);
    const int width = tiles.width(tile);
    interleave<FloatRow>(from, row_bytes, width, numbers, to + tiles.place(tile, numbers), width);
  }
}

// The products of queries with `count` keys: kTileKeys scores for each query.  `panel` is memory
// for kTileKeys keys.
inline void compute_scores(const Rows& keys,
                           std::int64_t count,
                           std::int64_t size,
                           const Tiles& tiles,
                           const float* queries,
                           float* panel,
                           float* scores) {
  for (std::int64_t key = 0; key < count; key += kFloatRows) {
    const char* from = keys.data + static_cast<std::size_t>(key) * keys.stride;
    const auto rows = static_cast<int>(std::min<std::int64_t>(kFloatRows, count - key));
    with_reader(keys.type, [&](auto reader) {
      interleave<decltype(reader)>(from, keys.stride, rows, size, panel, kFloatRows);
    });
    for (std::int64_t tile = 0; tile < tiles.count; ++tile) {
      const int width = tiles.width(tile);
      float* to = scores + tiles.first(tile) * kTileKeys + key;
      for (std::int64_t i = 0; i < size; i += kDepth) {
        tile_product(width)({panel + i * kFloatRows, kFloatRows},
                            std::min(kDepth, size - i),
                            queries + tiles.place(tile, size) + i * width,
                            {i == 0 ? nullptr : to, kTileKeys, to, kTileKeys});
      }
    }
  }
}

// Adds all of `count` values, weighted, to each query's sums; `memory` is for the tiles of weights.
inline void add_values(const Rows& values,
                       std::int64_t count,
                       std::int64_t size,
                       const Tiles& tiles,
                       const float* weights,
                       float* memory,
                       float* sums) {
  fill_tiles(tiles, weights, kTileKeys, count, memory);
  const auto stride = static_cast<std::int64_t>(values.stride / sizeof(float));
  for (std::int64_t tile = 0; tile < tiles.count; ++tile) {
    for (std::int64_t i = 0; i < size; i += kFloatRows) {
      float* to = sums + tiles.first(tile) * size + i;
      tile_product(tiles.width(tile))({reinterpret_cast<const float*>(values.data) + i, stride},
                                      count,
                                      memory + tiles.place(tile, count),
                                      {to, size, to, size});
    }
  }
}

}  // namespace llmlocal::kernels
