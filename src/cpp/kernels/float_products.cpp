#include "kernels/float_products.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <algorithm>
#include <cstdint>

#include "kernels/float_panels.h"
#include "kernels/float_tiles.h"
#include "kernels/places.h"
#include "kernels/work_items.h"

namespace llmlocal::kernels {
namespace {

constexpr std::int64_t kMostItemTiles = 512 / kFloatColumns;
constexpr std::int64_t kMostItemColumns = kMostItemTiles * kFloatColumns;
// To make a panel takes as long as the products of about five columns, so that of few columns they
// take a large share.  ggml's own lose time at the end of each sum over a row, most with short
// rows.
constexpr std::int64_t kShortRow = 512;
constexpr std::int64_t kFewestColumns = 64;
constexpr std::int64_t kFewestOfShortRows = 32;
// Of the weights: tiles have to be made, too, and some rows may be missing in the last panel.
constexpr std::int64_t kFewestRows = 8 * kFloatRows;

// How the work of one product is laid out.  The memory of tiles has kDepth numbers of all of them,
// then the next ones, as panels pass them.
struct Plan {
  explicit Plan(const ggml_tensor* op)
      : rows(op->src[0]->ne[1]),
        width(op->src[0]->ne[0]),
        columns(ggml_nrows(op->src[1])),
        panels(over(rows, kFloatRows)),
        tiles(columns) {}

  // Where a tile's numbers from `k` on are, a multiple of kDepth.
  std::int64_t place(std::int64_t tile, std::int64_t k) const {
    return k / kDepth * tiles_floats(columns, kDepth) + tiles.place(tile, kDepth);
  }
  std::size_t tiles_bytes() const {
    const std::int64_t floats = place(0, over(width, kDepth) * kDepth);
    return aligned(static_cast<std::size_t>(floats) * sizeof(float));
  }

  std::int64_t rows, width, columns, panels;
  Tiles tiles;
};

struct Scratch {
  alignas(64) float panel[kDepth][kFloatRows];
  alignas(64) float sums[kMostItemColumns][kFloatRows];
};

std::size_t work_bytes(const Plan& plan, int threads) {
  return shares_bytes(threads) + plan.tiles_bytes() +
         static_cast<std::size_t>(threads) * sizeof(Scratch);
}

template <class Reader>
class FloatProduct final : public ggml::cpu::tensor_traits {
 public:
  bool work_size(int threads, const ggml_tensor* op, std::size_t& size) override {
    const ggml_type type = ggml_get_type_traits_cpu(op->src[0]->type)->vec_dot_type;
    const std::size_t stocks = ggml_row_size(type, ggml_nelements(op->src[1]));
    size = std::max(work_bytes(Plan(op), threads), stocks);
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    const Plan plan(op);
    if (params->use_ref || params->wsize < work_bytes(plan, params->nth)) return false;
    char* work = work_of(*params);
    auto* tiles = reinterpret_cast<float*>(work);
    auto& scratch = reinterpret_cast<Scratch*>(work + plan.tiles_bytes())[params->ith];

    for (std::int64_t tile = params->ith; tile < plan.tiles.count; tile += params->nth) {
      fill_tile(op->src[1], plan, tile, tiles);
    }
    const std::int64_t wide = tiles_of_item(plan, params->nth);
    for_items(*params, plan.panels * over(plan.tiles.count, wide), [&](std::int64_t item) {
      const std::int64_t first = item / plan.panels * wide;
      multiply(op,
               plan,
               item % plan.panels,
               first,
               std::min(first + wide, plan.tiles.count),
               tiles,
               scratch);
    });
    return true;
  }

 private:
  // Part of the columns was written by other threads, so they are asked for ahead.
  static void fill_tile(const ggml_tensor* inputs,
                        const Plan& plan,
                        std::int64_t tile,
                        float* tiles) {
    const std::int64_t first = plan.tiles.first(tile);
    const int count = plan.tiles.width(tile);
    const auto from = [&](std::int64_t k) { return column(inputs, first) + k * FloatRow::kBytes; };
    const auto depth = [&](std::int64_t k) { return std::min(kDepth, plan.width - k); };
    prefetch_rows<FloatRow>(from(0), inputs->nb[1], count, depth(0));
    for (std::int64_t k = 0; k < plan.width; k += kDepth) {
      const std::int64_t next = k + kDepth;
      if (next < plan.width) {
        prefetch_rows<FloatRow>(from(next), inputs->nb[1], count, depth(next));
      }
      interleave<FloatRow>(
          from(k), inputs->nb[1], count, depth(k), tiles + plan.place(tile, k), count);
    }
  }

  // A panel's rows times tiles from the first one to the last.
  static void multiply(ggml_tensor* op,
                       const Plan& plan,
                       std::int64_t panel,
                       std::int64_t first_tile,
                       std::int64_t end_tile,
                       const float* tiles,
                       Scratch& scratch) {
    const ggml_tensor* weights = op->src[0];
    const std::int64_t row = panel * kFloatRows;
    const auto rows = static_cast<int>(std::min<std::int64_t>(kFloatRows, plan.rows - row));
    const char* from =
        static_cast<const char*>(weights->data) + static_cast<std::size_t>(row) * weights->nb[1];
    auto* results = static_cast<float*>(op->data) + row;
    for (std::int64_t k = 0; k < plan.width; k += kDepth) {
      const std::int64_t depth = std::min(kDepth, plan.width - k);
      const char* numbers = from + static_cast<std::size_t>(k) * Reader::kBytes;
      if (k == 0) prefetch_rows<Reader>(numbers, weights->nb[1], rows, depth);
      interleave<Reader>(numbers, weights->nb[1], rows, depth, scratch.panel[0], kFloatRows);
      if (const std::int64_t left = std::min(kDepth, plan.width - k - depth); left > 0) {
        prefetch_rows<Reader>(numbers + depth * Reader::kBytes, weights->nb[1], rows, left);
      }
      const bool is_last = k + depth == plan.width;
      float (*own)[kFloatRows] = scratch.sums;
      for (std::int64_t tile = first_tile; tile < end_tile; ++tile) {
        const int count = plan.tiles.width(tile);
        Sums sums{k == 0 ? nullptr : own[0], kFloatRows, own[0], kFloatRows};
        if (is_last && rows == kFloatRows) {
          sums.to = results + plan.tiles.first(tile) * plan.rows;
          sums.stride = plan.rows;
        }
        tile_product(count)(
            {scratch.panel[0], kFloatRows}, depth, tiles + plan.place(tile, k), sums);
        own += count;
      }
    }
    if (rows == kFloatRows) return;
    const std::int64_t first = plan.tiles.first(first_tile);
    for (std::int64_t c = first; c < plan.tiles.first(end_tile); ++c) {
      std::copy_n(scratch.sums[c - first], rows, results + c * plan.rows);
    }
  }

  static std::int64_t tiles_of_item(const Plan& plan, int threads) {
    const std::int64_t shares = over(kSeveral * threads, plan.panels);
    return std::clamp<std::int64_t>(over(plan.tiles.count, shares), 1, kMostItemTiles);
  }
};

// Whether columns, through all of the tensor's outer dimensions, are as far apart as the first two.
bool is_one_list(const ggml_tensor* columns) {
  return (columns->ne[2] == 1 || columns->nb[2] == columns->nb[1] * columns->ne[1]) &&
         (columns->ne[3] == 1 || columns->nb[3] == columns->nb[2] * columns->ne[2]);
}

// Whether it is faster than ggml's own.
bool is_faster(const ggml_tensor* weights, std::int64_t columns) {
  const bool is_short = weights->ne[0] <= kShortRow;
#if defined(__AVX512BF16__)  // They take two numbers at once.
  if (weights->type == GGML_TYPE_BF16) return false;
#endif
#if !LLMLOCAL_AVX512  // They are near the most that the CPU can do.
  if (weights->type == GGML_TYPE_F16 && !is_short) return false;
#endif
  return weights->ne[1] >= kFewestRows &&
         columns >= (is_short ? kFewestOfShortRows : kFewestColumns);
}

}  // namespace

ggml::cpu::tensor_traits* float_products_for(const ggml_tensor* op) {
  const ggml_tensor* weights = op->src[0];
  const ggml_tensor* inputs = op->src[1];
  const bool suits = weights->ne[2] == 1 && weights->ne[3] == 1 && is_plain(weights) &&
                     weights->nb[0] == ggml_type_size(weights->type) &&
                     inputs->type == GGML_TYPE_F32 && inputs->nb[0] == sizeof(float) &&
                     is_one_list(inputs) && op->type == GGML_TYPE_F32 && ggml_is_contiguous(op);
  if (!suits || !is_faster(weights, ggml_nrows(inputs))) return nullptr;
  static FloatProduct<HalfRow> halves;
  static FloatProduct<BrainRow> brain_halves;
  switch (weights->type) {
    case GGML_TYPE_F16:
      return &halves;
    case GGML_TYPE_BF16:
      return &brain_halves;
    default:
      return nullptr;
  }
}

}  // namespace llmlocal::kernels

#endif
