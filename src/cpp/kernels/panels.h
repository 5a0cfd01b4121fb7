// What a prompt computes: rows of weights are unpacked to a panel, which all columns then pass.
//
// A panel has kPanelRows rows side by side, a lane for each: four codes of a row are one lane's 32
// bits.  So one instruction multiplies four codes of each row with four of a column, which are the
// same for all lanes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/bytes.h"
#include "kernels/lanes.h"
#include "kernels/packed.h"
#include "kernels/scales.h"
#include "kernels/transpose.h"
#include "kernels/weights.h"

namespace llmlocal::kernels {

constexpr int kPanelParts = 16;  // 512 numbers of each row at a time: they stay in the L1 cache
constexpr int kGroups = 2;       // vectors of rows in a panel
constexpr int kPanelRows = kGroups * kLanes;
constexpr int kGroupsAtOnce = LLMLOCAL_AVX512 ? 2 : 1;  // so that all sums are in registers
constexpr int kTileColumns = 4;

struct Activations {
  std::int8_t codes[kPartLength];
  std::int32_t start[2];  // -kZero times the sum of the codes, for each scale of the weights
  float scale;
  float sums[2];  // of the numbers that the codes stand for, for each min of the weights
};

template <class Weights>
struct alignas(64) PanelPart {
  static constexpr int kScales = kPartLength / Weights::kSpan;

  std::uint8_t codes[kPartLength / 4][kLanes][4];
  float scale[kScales][kLanes];
  float min[Weights::kHasMin ? kScales : 1][kLanes];
};
constexpr std::size_t kMostPanelBytes =
    std::size_t{kGroups} * kPanelParts * kLanes * (kPartLength + 4 * sizeof(float));

// Null stands for zeros.
template <class Weights>
void quantize(const float* from, Activations* to, std::int64_t parts) {
  for (std::int64_t part = 0; part < parts; ++part) {
    Activations& out = to[part];
    if (from == nullptr) {
      out = {};
      continue;
    }
    const Bytes bytes = to_bytes(from + part * kPartLength);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out.codes), bytes.codes);
    const bool one = Weights::kSpan == kPartLength;
    const std::int32_t sum = bytes.sums[0] + bytes.sums[1];
    out.start[0] = -Weights::kZero * (one ? sum : bytes.sums[0]);
    out.start[1] = -Weights::kZero * bytes.sums[1];
    out.scale = bytes.scale;
    out.sums[0] = out.scale * static_cast<float>(one ? sum : bytes.sums[0]);
    out.sums[1] = out.scale * static_cast<float>(bytes.sums[1]);
  }
}

// The scales of a block, which has eight parts, of eight rows.
template <class Weights>
LLMLOCAL_INLINE void fill_block_scales(const char* rows,
                                       std::size_t row_bytes,
                                       int count,
                                       std::int64_t block,
                                       PanelPart<Weights>* out,
                                       int lane) {
  using Block = typename Weights::Block;
  constexpr int kScales = PanelPart<Weights>::kScales;
  __m256i scale[kScales][8] = {};
  __m256i min[kScales][8] = {};
  for (int i = 0; i < std::min(count, 8); ++i) {
    const auto* blocks =
        reinterpret_cast<const Block*>(rows + static_cast<std::size_t>(i) * row_bytes);
    const ScalesOf<Weights> scales = block_scales<Weights>(blocks[block]);
    for (int s = 0; s < kScales; ++s) {
      scale[s][i] = _mm256_castps_si256(scales.scales[s]);
      min[s][i] = _mm256_castps_si256(scales.mins[s]);
    }
  }
  for (int s = 0; s < kScales; ++s) {
    transpose(scale[s], out->scale[s] + lane, sizeof(*out));
    if constexpr (Weights::kHasMin) transpose(min[s], out->min[s] + lane, sizeof(*out));
  }
}

// Asks for what fill_panel will read: rows side by side are more than the CPU follows by itself.
template <class Weights>
void prefetch_panel(
    const char* rows, std::size_t row_bytes, int count, std::int64_t first_part, int parts) {
  constexpr std::size_t kBlock = sizeof(typename Weights::Block), kLine = 64;
  const std::size_t begin = static_cast<std::size_t>(first_part / Weights::kParts) * kBlock;
  const std::size_t bytes = static_cast<std::size_t>(parts / Weights::kParts) * kBlock;
  for (int row = 0; row < count; row += kIsPacked<Weights> ? kPackedRows : 1) {
    const char* from = rows + static_cast<std::size_t>(row) * row_bytes + begin;
    for (std::size_t at = 0; at < bytes; at += kLine) _mm_prefetch(from + at, _MM_HINT_T1);
  }
}

// Rows that there are not are left as zeros, which nobody reads from the result.
template <class Weights>
LLMLOCAL_NOINLINE void fill_panel(const char* rows,
                                  std::size_t row_bytes,
                                  int count,
                                  std::int64_t first_part,
                                  int parts,
                                  PanelPart<Weights>* panel) {
  using Block = typename Weights::Block;
  for (int part = 0; part < parts; ++part) {
    const std::int64_t block = (first_part + part) / Weights::kParts;
    const int within = static_cast<int>((first_part + part) % Weights::kParts);
    for (int row = 0; row < kPanelRows; row += 8) {
      PanelPart<Weights>* out = panel + row / kLanes * parts + part;
      const int lane = row % kLanes;
      const char* eight = rows + static_cast<std::size_t>(row) * row_bytes;
      __m256i codes[8];
      for (int i = 0; i < 8; ++i) {
        codes[i] = _mm256_setzero_si256();
        Scales scales{};
        if (row + i < count) {
          const auto& at = reinterpret_cast<const Block*>(eight + static_cast<std::size_t>(i) *
                                                                      row_bytes)[block];
          codes[i] = Weights::codes(at, within);
          if constexpr (Weights::kParts == 1) scales = Weights::scales(at);
        }
        if constexpr (Weights::kParts == 1) {
          out->scale[0][lane + i] = scales.scale;
          if constexpr (Weights::kHasMin) out->min[0][lane + i] = scales.min;
        }
      }
      transpose(codes, out->codes[0][lane], sizeof(out->codes[0]));
      if constexpr (Weights::kParts != 1) {
        if (within == 0) {
          fill_block_scales<Weights>(eight, row_bytes, count - row, block, out, lane);
        }
      }
    }
  }
}

// The same of weights that ggml has repacked: eight rows at a time, as they lie.
template <class Weights>
LLMLOCAL_NOINLINE void fill_panel_from_packed(const char* rows,
                                              std::size_t row_bytes,
                                              int count,
                                              std::int64_t first_part,
                                              int parts,
                                              PanelPart<Weights>* panel) {
  for (int part = 0; part < parts; ++part) {
    const std::int64_t block = (first_part + part) / Weights::kParts;
    const int within = static_cast<int>((first_part + part) % Weights::kParts);
    for (int row = 0; row < kPanelRows; row += kPackedRows) {
      PanelPart<Weights>* out = panel + row / kLanes * parts + part;
      const int lane = row % kLanes;
      __m256i codes[kPackedRows] = {};
      ScalesOf<Weights> scales{};
      if (row < count) {
        const auto& at = reinterpret_cast<const typename Weights::Block*>(
            rows + static_cast<std::size_t>(row) * row_bytes)[block];
        for (int i = 0; i < kPackedRows; ++i) codes[i] = Weights::codes(at, i, within);
        scales = Weights::scales(at, within);
      }
      transpose(codes, out->codes[0][lane], sizeof(out->codes[0]));
      for (int s = 0; s < PanelPart<Weights>::kScales; ++s) {
        _mm256_storeu_ps(out->scale[s] + lane, scales.scales[s]);
        if constexpr (Weights::kHasMin) _mm256_storeu_ps(out->min[s] + lane, scales.mins[s]);
      }
    }
  }
}

inline Ints four_codes(const Activations& column, int step) {
  std::int32_t four;
  std::memcpy(&four, column.codes + 4 * step, sizeof(four));
  return all_ints(four);
}

// Adds the products of four times `Steps` codes, of each row with each column of a tile.
template <class Weights, int Groups, int Steps>
LLMLOCAL_INLINE void add_products(const PanelPart<Weights>* const (&rows)[Groups],
                                  int first_step,
                                  const Activations* const (&columns)[kTileColumns],
                                  Ints (&sums)[Groups][kTileColumns]) {
#if LLMLOCAL_VNNI
  for (int step = first_step; step < first_step + Steps; ++step) {
    for (int c = 0; c < kTileColumns; ++c) {
      const Ints four = four_codes(*columns[c], step);
      for (int g = 0; g < Groups; ++g) {
        sums[g][c] = fours_8(sums[g][c], load(rows[g]->codes[step]), four);
      }
    }
  }
#else
  constexpr int kSummed = Weights::kMostSummed < Steps ? Weights::kMostSummed : Steps;
  for (int from = first_step; from < first_step + Steps; from += kSummed) {
    Ints short_sums[Groups][kTileColumns];
    for (int step = from; step < from + kSummed; ++step) {
      for (int g = 0; g < Groups; ++g) {
        const Ints row_codes = load(rows[g]->codes[step]);
        for (int c = 0; c < kTileColumns; ++c) {
          const Ints products = products_16<Weights>(row_codes, four_codes(*columns[c], step));
          short_sums[g][c] = step == from ? products : plus_16(short_sums[g][c], products);
          keep_order(short_sums[g][c]);
        }
      }
    }
    for (int g = 0; g < Groups; ++g) {
      for (int c = 0; c < kTileColumns; ++c) {
        sums[g][c] = plus(sums[g][c], pairs_16(short_sums[g][c], all_ones_16()));
      }
    }
  }
#endif
}

// Adds a panel's products with kTileColumns columns, `column_parts` apart, to their sums; those
// begin at zero where it is the first.
template <class Weights, int Groups>
LLMLOCAL_NOINLINE void multiply(const PanelPart<Weights>* panel,
                                int parts,
                                const Activations* activations,
                                std::int64_t column_parts,
                                float* sums,
                                bool first) {
  constexpr int kScales = PanelPart<Weights>::kScales;
  Floats total[Groups][kTileColumns];
  for (int g = 0; g < Groups; ++g) {
    for (int c = 0; c < kTileColumns; ++c) {
      total[g][c] = first ? all_floats(0) : load_floats(sums + c * kPanelRows + g * kLanes);
    }
  }
  for (int part = 0; part < parts; ++part) {
    const PanelPart<Weights>* rows[Groups];
    const Activations* columns[kTileColumns];
    for (int g = 0; g < Groups; ++g) rows[g] = panel + g * parts + part;
    for (int c = 0; c < kTileColumns; ++c) columns[c] = activations + c * column_parts + part;

    Floats scaled[Groups][kTileColumns];
    for (int s = 0; s < kScales; ++s) {
      Ints products[Groups][kTileColumns];
      for (int g = 0; g < Groups; ++g) {
        for (int c = 0; c < kTileColumns; ++c) {
          products[g][c] = all_ints(Weights::kZero == 0 ? 0 : columns[c]->start[s]);
        }
      }
      add_products<Weights, Groups, 8 / kScales>(rows, s * 4, columns, products);
      for (int g = 0; g < Groups; ++g) {
        const Floats scale = load_floats(rows[g]->scale[s]);
        for (int c = 0; c < kTileColumns; ++c) {
          const Floats sum = to_floats(products[g][c]);
          scaled[g][c] = s == 0 ? times(scale, sum) : times_plus(scale, sum, scaled[g][c]);
        }
      }
    }
    for (int g = 0; g < Groups; ++g) {
      for (int c = 0; c < kTileColumns; ++c) {
        total[g][c] = times_plus(scaled[g][c], all_floats(columns[c]->scale), total[g][c]);
        if constexpr (Weights::kHasMin) {
          for (int s = 0; s < kScales; ++s) {
            total[g][c] = times_plus(
                load_floats(rows[g]->min[s]), all_floats(columns[c]->sums[s]), total[g][c]);
          }
        }
      }
    }
  }
  for (int g = 0; g < Groups; ++g) {
    for (int c = 0; c < kTileColumns; ++c) {
      store_floats(sums + c * kPanelRows + g * kLanes, total[g][c]);
    }
  }
}

}  // namespace llmlocal::kernels
