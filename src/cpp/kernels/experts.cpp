#include "kernels/experts.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/panel_products.h"
#include "kernels/panels.h"
#include "kernels/places.h"
#include "kernels/rows.h"
#include "kernels/types.h"
#include "kernels/work_items.h"

namespace llmlocal::kernels {
namespace {

// Of an expert, on average; with fewer, rows are faster than panels, or ggml's own products.
template <class Weights>
constexpr std::int64_t fewest_panel_columns() {
  if (kHasRows<Weights>) return kIsSigned<Weights> ? 6 : 4;
  return std::max<std::int64_t>(Weights::kFewestColumns, 3) + (LLMLOCAL_VNNI ? 0 : 1);
}
template <class Weights>
constexpr std::int64_t kFewestPanelColumns = fewest_panel_columns<Weights>();

// What is wanted: for each token, each of so many slots, the product of an input with an expert.
struct Plan {
  explicit Plan(const ggml_tensor* op)
      : rows(op->src[0]->ne[1]),
        parts(op->src[0]->ne[0] / kPartLength),
        experts(op->src[0]->ne[2]),
        inputs(op->src[1]->ne[1]),
        slots(op->src[2]->ne[0]),
        tokens(op->src[2]->ne[1]) {}

  std::int64_t pairs() const { return slots * tokens; }  // of a slot and a token
  // Each expert's columns fill whole tiles.
  std::int64_t most_columns() const {
    return pairs() + std::min(experts, pairs()) * (kTileColumns - 1);
  }

  std::int64_t rows, parts, experts, inputs, slots, tokens;
};

// Who wants each expert: made by one thread, in memory that all of them read.
class Groups {
 public:
  static std::size_t bytes(const Plan& plan) {
    const auto numbers = 3 * (plan.experts + 1) + plan.most_columns();
    return aligned(static_cast<std::size_t>(numbers) * sizeof(std::int64_t));
  }

  Groups(const Plan& plan, char* memory)
      : counts_(reinterpret_cast<std::int64_t*>(memory)),
        columns_(counts_ + plan.experts + 1),
        items_(columns_ + plan.experts + 1),
        pairs_(items_ + plan.experts + 1),
        experts_(plan.experts) {}

  // `items` is how much work a number of columns is.
  template <class Items>
  void fill(const Plan& plan, const ggml_tensor* ids, const Items& items) const {
    const auto expert_of = [&](std::int64_t pair) {
      const auto at = static_cast<std::size_t>(pair % plan.slots) * ids->nb[0] +
                      static_cast<std::size_t>(pair / plan.slots) * ids->nb[1];
      const auto expert =
          *reinterpret_cast<const std::int32_t*>(static_cast<const char*>(ids->data) + at);
      GGML_ASSERT(expert >= 0 && expert < plan.experts);
      return expert;
    };
    std::fill_n(counts_, plan.experts, 0);
    for (std::int64_t pair = 0; pair < plan.pairs(); ++pair) ++counts_[expert_of(pair)];
    columns_[0] = items_[0] = 0;
    for (std::int64_t e = 0; e < plan.experts; ++e) {
      columns_[e + 1] = columns_[e] + over(counts_[e], kTileColumns) * kTileColumns;
      items_[e + 1] = items_[e] + items(counts_[e]);
      counts_[e] = 0;
    }
    std::fill_n(pairs_, columns_[plan.experts], -1);
    for (std::int64_t pair = 0; pair < plan.pairs(); ++pair) {
      const std::int32_t expert = expert_of(pair);
      pairs_[columns_[expert] + counts_[expert]++] = pair;
    }
  }

  std::int64_t count(std::int64_t expert) const { return counts_[expert]; }
  std::int64_t first_column(std::int64_t expert) const { return columns_[expert]; }
  std::int64_t columns() const { return columns_[experts_]; }
  // The pair that wants a column; -1 for those that fill a tile.
  std::int64_t pair(std::int64_t column) const { return pairs_[column]; }

  std::int64_t items() const { return items_[experts_]; }
  // The expert of an item; `item` becomes its number among the expert's.
  std::int64_t expert_of_item(std::int64_t& item) const {
    const std::int64_t expert = std::upper_bound(items_, items_ + experts_, item) - items_ - 1;
    item -= items_[expert];
    return expert;
  }

 private:
  std::int64_t *counts_, *columns_, *items_, *pairs_;
  std::int64_t experts_;
};

const float* input_of(const ggml_tensor* op, const Plan& plan, std::int64_t pair) {
  const ggml_tensor* from = op->src[1];
  const auto row = static_cast<std::size_t>(pair % plan.slots % plan.inputs);
  const auto token = static_cast<std::size_t>(pair / plan.slots);
  return reinterpret_cast<const float*>(static_cast<const char*>(from->data) + row * from->nb[1] +
                                        token * from->nb[2]);
}

float* result_of(const ggml_tensor* op, const Plan& plan, std::int64_t pair) {
  const auto slot = static_cast<std::size_t>(pair % plan.slots);
  const auto token = static_cast<std::size_t>(pair / plan.slots);
  return reinterpret_cast<float*>(static_cast<char*>(op->data) + slot * op->nb[1] +
                                  token * op->nb[2]);
}

// Where few columns want an expert, as in answers, its rows are read one after the other.
template <class Weights>
bool takes_rows(const Plan& plan) {
  return kHasRows<Weights> && plan.pairs() < kFewestPanelColumns<Weights> * plan.experts;
}

template <class Weights>
std::size_t work_bytes(const Plan& plan, int threads) {
  const std::size_t shared = shares_bytes(threads) + Groups::bytes(plan);
  if (takes_rows<Weights>(plan)) {
    return shared + static_cast<std::size_t>(plan.pairs()) * column_bytes(plan.parts);
  }
  const auto activations = static_cast<std::size_t>(plan.most_columns() * plan.parts);
  return shared + aligned(activations * sizeof(Activations)) +
         static_cast<std::size_t>(threads) * sizeof(Scratch);
}

// What ggml's own code needs where ours declines after the plan was made (use_ref).
template <class Weights>
std::size_t stocks_work_bytes(int threads, const ggml_tensor* op, const Plan& plan) {
  if constexpr (kIsPacked<Weights>) {
    std::size_t size = 0;
    static_cast<ggml::cpu::tensor_traits*>(op->src[0]->extra)->work_size(threads, op, size);
    return size;
  }
  const ggml_type type = ggml_get_type_traits_cpu(op->src[0]->type)->vec_dot_type;
  const auto numbers = plan.experts * (plan.pairs() + 1) + 3;
  return aligned(ggml_row_size(type, ggml_nelements(op->src[1])) +
                 static_cast<std::size_t>(numbers) * sizeof(std::int64_t) +
                 static_cast<std::size_t>(plan.experts + 1) * 64) +
         ggml_tiled_wdata_size(threads, const_cast<ggml_tensor*>(op));
}

template <class Weights>
class Experts final : public ggml::cpu::tensor_traits {
 public:
  bool work_size(int threads, const ggml_tensor* op, std::size_t& size) override {
    const Plan plan(op);
    size =
        std::max(work_bytes<Weights>(plan, threads), stocks_work_bytes<Weights>(threads, op, plan));
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    const Plan plan(op);
    if (params->use_ref || params->wsize < work_bytes<Weights>(plan, params->nth)) return false;
    char* work = work_of(*params);
    const Groups groups(plan, work);
    work += Groups::bytes(plan);
    if constexpr (kHasRows<Weights>) {
      if (takes_rows<Weights>(plan)) {
        by_rows(*params, op, plan, groups, work);
        return true;
      }
    }
    by_panels(*params, op, plan, groups, work);
    return true;
  }

 private:
  static Matrix matrix_of(const ggml_tensor* weights, const Plan& plan, std::int64_t expert) {
    return {
        static_cast<const char*>(weights->data) + static_cast<std::size_t>(expert) * weights->nb[2],
        weights->nb[1],
        plan.rows,
        plan.parts};
  }

  static void by_panels(const ggml_compute_params& params,
                        ggml_tensor* op,
                        const Plan& plan,
                        const Groups& groups,
                        char* work) {
    const std::int64_t panels = over(plan.rows, kPanelRows);
    if (params.ith == 0) {
      groups.fill(plan, op->src[2], [&](std::int64_t columns) {
        return panels * over(columns, kMostItemColumns);
      });
    }
    ggml_barrier(params.threadpool);
    auto* activations = reinterpret_cast<Activations*>(work);
    for (std::int64_t c = params.ith; c < groups.columns(); c += params.nth) {
      const std::int64_t pair = groups.pair(c);
      quantize<Weights>(
          pair < 0 ? nullptr : input_of(op, plan, pair), activations + c * plan.parts, plan.parts);
    }
    const auto bytes =
        static_cast<std::size_t>(plan.most_columns() * plan.parts) * sizeof(Activations);
    auto* scratch = reinterpret_cast<Scratch*>(work + aligned(bytes)) + params.ith;
    for_items(params, groups.items(), [&](std::int64_t item) {
      const std::int64_t expert = groups.expert_of_item(item);
      const std::int64_t within = item / panels * kMostItemColumns;
      const std::int64_t first = groups.first_column(expert) + within;
      multiply_panel<Weights>(
          matrix_of(op->src[0], plan, expert),
          item % panels * kPanelRows,
          activations + first * plan.parts,
          std::min(kMostItemColumns, groups.count(expert) - within),
          [&](std::int64_t c) { return result_of(op, plan, groups.pair(first + c)); },
          *scratch);
    });
  }

  static void by_rows(const ggml_compute_params& params,
                      ggml_tensor* op,
                      const Plan& plan,
                      const Groups& groups,
                      char* work) {
    const std::int64_t rows = kRowsOfItem, items = over(plan.rows, rows);
    if (params.ith == 0) {
      groups.fill(plan, op->src[2], [&](std::int64_t columns) { return columns == 0 ? 0 : items; });
    }
    // One for each input: slots of a token may share it.
    const auto memory_of = [&](std::int64_t pair) {
      const std::int64_t input = pair / plan.slots * plan.inputs + pair % plan.slots % plan.inputs;
      return work + static_cast<std::size_t>(input) * column_bytes(plan.parts);
    };
    for (std::int64_t pair = 0; pair < plan.pairs(); ++pair) {
      if (pair % plan.slots >= plan.inputs) continue;
      fill_column(input_of(op, plan, pair),
                  plan.parts,
                  plan.parts * params.ith / params.nth,
                  plan.parts * (params.ith + 1) / params.nth,
                  memory_of(pair));
    }
    ggml_barrier(params.threadpool);
    for_items(params, groups.items(), [&](std::int64_t item) {
      const std::int64_t expert = groups.expert_of_item(item);
      const Matrix weights = matrix_of(op->src[0], plan, expert);
      const std::int64_t first = item * rows, last = std::min(first + rows, plan.rows);
      const std::int64_t begin = groups.first_column(expert), count = groups.count(expert);
      const auto multiply_by = [&](std::int64_t at, auto number) {
        constexpr int Columns = decltype(number)::value;
        Column columns[Columns];
        float* results[Columns];
        for (int c = 0; c < Columns; ++c) {
          const std::int64_t pair = groups.pair(begin + at + c);
          columns[c] = column_at(memory_of(pair), plan.parts);
          results[c] = result_of(op, plan, pair);
        }
        multiply_rows<Weights>(weights, first, last, columns, results);
      };
      std::int64_t at = 0;
      for (; at + 2 <= count; at += 2) multiply_by(at, std::integral_constant<int, 2>{});
      if (at < count) multiply_by(at, std::integral_constant<int, 1>{});
    });
  }

  static constexpr std::int64_t kRowsOfItem = 64;
};

// Whether it is faster than ggml's own.
template <class Weights>
bool is_faster(const Plan& plan) {
  if (takes_rows<Weights>(plan)) return plan.parts >= kStretch;
  return plan.pairs() >= kFewestPanelColumns<Weights> * plan.experts;
}

template <class... Weights>
ggml::cpu::tensor_traits* experts_of(Types<Weights...>, const ggml_tensor* op) {
  ggml::cpu::tensor_traits* found = nullptr;
  (
      [&] {
        static Experts<Weights> experts;
        if (op->src[0]->type == Weights::kType && is_faster<Weights>(Plan(op))) found = &experts;
      }(),
      ...);
  return found;
}

}  // namespace

ggml::cpu::tensor_traits* experts_for(const ggml_tensor* op) {
  const ggml_tensor *weights = op->src[0], *inputs = op->src[1], *ids = op->src[2];
  const bool suits = weights->ne[3] == 1 && inputs->ne[3] == 1 && ids->ne[2] == 1 &&
                     ids->type == GGML_TYPE_I32 && weights->ne[0] % kPartLength == 0 &&
                     weights->nb[0] == ggml_type_size(weights->type) &&
                     inputs->type == GGML_TYPE_F32 && inputs->nb[0] == sizeof(float) &&
                     op->type == GGML_TYPE_F32 && op->nb[0] == sizeof(float);
  if (!suits) return nullptr;
  if (is_packed(weights)) return experts_of(PackedTypes{}, op);
  return is_plain(weights) ? experts_of(PlainTypes{}, op) : nullptr;
}

}  // namespace llmlocal::kernels

#endif
