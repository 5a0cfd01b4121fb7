// How columns are cut into the tiles that float_panels.h multiplies.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/float_panels.h"
#include "kernels/work_items.h"

namespace llmlocal::kernels {

// Tiles of one size, the first ones of one column more.
struct Tiles {
  explicit Tiles(std::int64_t columns)
      : count(over(columns, kFloatColumns)), each(columns / count), longer(columns % count) {}

  std::int64_t first(std::int64_t tile) const { return tile * each + std::min(tile, longer); }
  int width(std::int64_t tile) const { return static_cast<int>(each + (tile < longer ? 1 : 0)); }
  // Where a tile is, in memory for `numbers` of each column.
  std::int64_t place(std::int64_t tile, std::int64_t numbers) const {
    return first(tile) * numbers + tile * kBeyond;
  }

  std::int64_t count, each, longer;
};

// Floats that the tiles of at most so many columns take.
constexpr std::int64_t tiles_floats(std::int64_t columns, std::int64_t numbers) {
  return columns * numbers + over(columns, kFloatColumns) * kBeyond;
}

}  // namespace llmlocal::kernels
