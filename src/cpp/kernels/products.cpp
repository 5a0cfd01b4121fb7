#include "kernels/products.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/lanes.h"
#include "kernels/packed.h"
#include "kernels/panel_products.h"
#include "kernels/panels.h"
#include "kernels/places.h"
#include "kernels/rows.h"
#include "kernels/types.h"
#include "kernels/work_items.h"

namespace llmlocal::kernels {
namespace {

// An item of few columns is some rows, with all columns; one of many is a panel of rows, with so
// many columns, whose sums are in scratch memory.
constexpr std::int64_t kMostItemRows = 64;
constexpr std::int64_t kFewestItemColumns = 16;

// How the work of one product is laid out: depends on its shape and on nothing else, but for what
// is in one item.
struct Plan {
  explicit Plan(const ggml_tensor* op)
      : rows(op->src[0]->ne[1]),
        columns(ggml_nrows(op->src[1])),
        parts(op->src[0]->ne[0] / kPartLength),
        padded_columns(over(columns, kTileColumns) * kTileColumns),
        panels(over(rows, kPanelRows)) {}

  std::size_t activations_bytes() const {
    return aligned(static_cast<std::size_t>(padded_columns * parts) * sizeof(Activations));
  }

  std::int64_t rows, columns, parts, padded_columns, panels;
};

template <class Weights>
bool takes_rows(std::int64_t columns) {
  return kHasRows<Weights> && columns <= kMostRowColumns;
}

template <class Weights>
std::size_t work_bytes(const Plan& plan, int threads) {
  if (takes_rows<Weights>(plan.columns)) {
    return shares_bytes(threads) +
           static_cast<std::size_t>(plan.columns) * column_bytes(plan.parts);
  }
  return shares_bytes(threads) + plan.activations_bytes() +
         static_cast<std::size_t>(threads) * sizeof(Scratch);
}

template <class Weights>
class Product final : public ggml::cpu::tensor_traits {
 public:
  bool work_size(int threads, const ggml_tensor* op, std::size_t& size) override {
    size = std::max(work_bytes<Weights>(Plan(op), threads), stocks_work_bytes(threads, op));
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    const Plan plan(op);
    if (params->use_ref || params->wsize < work_bytes<Weights>(plan, params->nth)) return false;
    char* work = work_of(*params);
    if constexpr (kHasRows<Weights>) {
      if (plan.columns == 1) {
        few_columns<1>(*params, op, plan, work);
        return true;
      }
      if (plan.columns == kMostRowColumns) {
        few_columns<kMostRowColumns>(*params, op, plan, work);
        return true;
      }
    }
    many_columns(*params, op, plan, work);
    return true;
  }

 private:
  template <int Columns>
  static void few_columns(const ggml_compute_params& params,
                          ggml_tensor* op,
                          const Plan& plan,
                          char* work) {
    const std::int64_t begin = plan.parts * params.ith / params.nth;
    const std::int64_t end = plan.parts * (params.ith + 1) / params.nth;
    Column columns[Columns];
    float* results[Columns];
    for (int c = 0; c < Columns; ++c) {
      const auto* from = reinterpret_cast<const float*>(column(op->src[1], c));
      char* memory = work + static_cast<std::size_t>(c) * column_bytes(plan.parts);
      columns[c] = fill_column(from, plan.parts, begin, end, memory);
      results[c] = reinterpret_cast<float*>(column(op, c));
    }

    const std::int64_t rows = std::min(over(plan.rows, kSeveral * params.nth), kMostItemRows);
    for_items(params, over(plan.rows, rows), [&](std::int64_t item) {
      const std::int64_t last = std::min((item + 1) * rows, plan.rows);
      multiply_rows<Weights>(matrix_of(op, plan), item * rows, last, columns, results);
    });
  }

  static Matrix matrix_of(const ggml_tensor* op, const Plan& plan) {
    const ggml_tensor* weights = op->src[0];
    return {static_cast<const char*>(weights->data), weights->nb[1], plan.rows, plan.parts};
  }

  static void many_columns(const ggml_compute_params& params,
                           ggml_tensor* op,
                           const Plan& plan,
                           char* work) {
    auto* activations = reinterpret_cast<Activations*>(work);
    auto* scratch = reinterpret_cast<Scratch*>(work + plan.activations_bytes()) + params.ith;
    for (std::int64_t c = params.ith; c < plan.padded_columns; c += params.nth) {
      const bool real = c < plan.columns;
      quantize<Weights>(real ? reinterpret_cast<const float*>(column(op->src[1], c)) : nullptr,
                        activations + c * plan.parts,
                        plan.parts);
    }
    const std::int64_t wide = columns_of_item(plan, params.nth);
    const std::int64_t items = plan.panels * over(plan.padded_columns, wide);
    for_items(params, items, [&](std::int64_t item) {
      const std::int64_t first = item / plan.panels * wide;
      multiply_panel<Weights>(
          matrix_of(op, plan),
          item % plan.panels * kPanelRows,
          activations + first * plan.parts,
          std::min(wide, plan.columns - first),
          [&](std::int64_t c) { return reinterpret_cast<float*>(column(op, first + c)); },
          *scratch);
    });
  }

  // What ggml's own code needs where ours declines after the plan was made (use_ref).
  static std::size_t stocks_work_bytes(int threads, const ggml_tensor* op) {
    if constexpr (kIsPacked<Weights>) {
      std::size_t size = 0;
      static_cast<ggml::cpu::tensor_traits*>(op->src[0]->extra)->work_size(threads, op, size);
      return size;
    }
    const ggml_type type = ggml_get_type_traits_cpu(op->src[0]->type)->vec_dot_type;
    return aligned(ggml_row_size(type, ggml_nelements(op->src[1]))) +
           ggml_tiled_wdata_size(threads, const_cast<ggml_tensor*>(op));
  }

  static std::int64_t columns_of_item(const Plan& plan, int threads) {
    const std::int64_t shares = over(kSeveral * threads, plan.panels);
    const std::int64_t wide = over(over(plan.padded_columns, shares), kTileColumns) * kTileColumns;
    return std::clamp(wide, std::min(kFewestItemColumns, plan.padded_columns), kMostItemColumns);
  }
};

// Whether it is faster than ggml's own.
template <class Weights>
bool is_faster(std::int64_t width, std::int64_t columns) {
  if (takes_rows<Weights>(columns)) return width >= kStretch * kPartLength;
  return columns >= Weights::kFewestColumns;
}

template <class... Weights>
ggml::cpu::tensor_traits* product_of(Types<Weights...>,
                                     const ggml_tensor* weights,
                                     std::int64_t columns) {
  ggml::cpu::tensor_traits* found = nullptr;
  (
      [&] {
        static Product<Weights> product;
        if (weights->type == Weights::kType && is_faster<Weights>(weights->ne[0], columns)) {
          found = &product;
        }
      }(),
      ...);
  return found;
}

}  // namespace

ggml::cpu::tensor_traits* products_for(const ggml_tensor* op) {
  const ggml_tensor* weights = op->src[0];
  const ggml_tensor* inputs = op->src[1];
  const bool suits =
      weights->ne[2] == 1 && weights->ne[3] == 1 && weights->ne[0] % kPartLength == 0 &&
      weights->nb[0] == ggml_type_size(weights->type) && inputs->type == GGML_TYPE_F32 &&
      inputs->nb[0] == sizeof(float) && op->type == GGML_TYPE_F32 && op->nb[0] == sizeof(float);
  if (!suits) return nullptr;
  const std::int64_t columns = ggml_nrows(inputs);
  if (is_packed(weights)) return product_of(PackedTypes{}, weights, columns);
  return is_plain(weights) ? product_of(PlainTypes{}, weights, columns) : nullptr;
}

}  // namespace llmlocal::kernels

#endif
