// Rows of weights times columns by panels.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/packed.h"
#include "kernels/panels.h"
#include "kernels/places.h"

namespace llmlocal::kernels {

constexpr std::int64_t kMostItemColumns = 512;

// What a thread needs for a panel.
struct Scratch {
  alignas(64) float sums[kMostItemColumns][kPanelRows];
  alignas(64) std::uint8_t panel[kMostPanelBytes];
};

// The panel of rows that begins with `first_row` times so many columns, at most kMostItemColumns,
// which lie one after the other, with others or zeros after them to a whole tile.  `result` tells
// where a column's results begin, those of all rows.
template <class Weights, class Result>
void multiply_panel(const Matrix& weights,
                    std::int64_t first_row,
                    const Activations* activations,
                    std::int64_t columns,
                    const Result& result,
                    Scratch& scratch) {
  const int rows = static_cast<int>(std::min<std::int64_t>(kPanelRows, weights.rows - first_row));
  const char* from = weights.data + static_cast<std::size_t>(first_row) * weights.row_bytes;
  for (std::int64_t part = 0; part < weights.parts; part += kPanelParts) {
    const int parts = static_cast<int>(std::min<std::int64_t>(kPanelParts, weights.parts - part));
    auto* panel = reinterpret_cast<PanelPart<Weights>*>(scratch.panel);
    prefetch_panel<Weights>(from, weights.row_bytes, rows, part, parts);
    if constexpr (kIsPacked<Weights>) {
      fill_panel_from_packed<Weights>(from, weights.row_bytes, rows, part, parts, panel);
    } else {
      fill_panel<Weights>(from, weights.row_bytes, rows, part, parts, panel);
    }
    for (std::int64_t c = 0; c < columns; c += kTileColumns) {
      for (int g = 0; g < kGroups; g += kGroupsAtOnce) {
        multiply<Weights, kGroupsAtOnce>(panel + g * parts,
                                         parts,
                                         activations + c * weights.parts + part,
                                         weights.parts,
                                         scratch.sums[c] + g * kLanes,
                                         part == 0);
      }
    }
  }
  for (std::int64_t c = 0; c < columns; ++c) {
    std::copy_n(scratch.sums[c], rows, result(c) + first_row);
  }
}

}  // namespace llmlocal::kernels
