#include "kernels/attention.h"

#if defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "kernels/attention_panels.h"
#include "kernels/attention_tile.h"
#include "kernels/work_items.h"

namespace llmlocal::kernels {
namespace {

constexpr std::int64_t kItems = 128;  // that the work is cut into, where the keys suffice
// Of the keys and values of a tile that are read together: they stay in any CPU's L2 cache.
constexpr std::int64_t kTogetherBytes = 128 * 1024;

template <class T = char>
T* at(const ggml_tensor* tensor, std::int64_t i1, std::int64_t i2 = 0, std::int64_t i3 = 0) {
  return reinterpret_cast<T*>(static_cast<char*>(tensor->data) +
                              i1 * static_cast<std::int64_t>(tensor->nb[1]) +
                              i2 * static_cast<std::int64_t>(tensor->nb[2]) +
                              i3 * static_cast<std::int64_t>(tensor->nb[3]));
}

// The operands, and how the work is cut up: by shapes alone, so that results do not depend on the
// number of threads.  The queries of all rows and heads that share a head of keys are one list, cut
// into blocks; the keys are cut into spans where there are few blocks.  Where one block is all,
// heads of keys that are side by side in memory are read together.
struct Work {
  explicit Work(const ggml_tensor* op)
      : q(op->src[0]),
        k(op->src[1]),
        v(op->src[2]),
        mask(op->src[3]),
        sinks(op->src[4]),
        key_size(k->ne[0]),
        value_size(v->ne[0]),
        rows(q->ne[1]),
        heads(q->ne[2]),
        streams(q->ne[3]),
        keys(k->ne[1]),
        key_heads(k->ne[2]),
        sharing(heads / key_heads),
        queries(sharing * rows),
        blocks(over(queries, kQueries)),
        units(streams * key_heads * blocks),
        together(heads_together()),
        spans(std::clamp<std::int64_t>(kItems * together / units, 1, over(keys, kTileKeys))),
        span(over(over(keys, kTileKeys), spans) * kTileKeys) {
    const auto* values = reinterpret_cast<const float*>(op->op_params);
    scale = values[0];
    max_bias = values[1];
    softcap = values[2];
    if (softcap != 0) scale /= softcap;
  }

  std::int64_t heads_together() const {
    if (blocks > 1 || k->nb[2] > k->nb[1] || v->nb[2] > v->nb[1]) return 1;
    const auto head_bytes = static_cast<std::int64_t>(kTileKeys * (k->nb[2] + v->nb[2]));
    std::int64_t together = key_heads;
    while (together > 1 && (key_heads % together != 0 || together * head_bytes > kTogetherBytes)) {
      --together;
    }
    return together;
  }

  std::int64_t block_queries() const { return std::min(queries, kQueries); }
  // Of one query: its largest score, the sum of its weights, and the weighted values.
  std::int64_t partial_floats() const { return 2 + value_size; }
  std::size_t partials_bytes() const {
    const std::int64_t each = block_queries() * partial_floats();
    return spans == 1 ? 0 : aligned(static_cast<std::size_t>(units * spans * each) * sizeof(float));
  }
  // Of one block: its queries, those as tiles, and what is known of each so far.
  std::int64_t state_floats() const {
    return block_queries() * (key_size + value_size + 2) + tiles_floats(block_queries(), key_size);
  }
  std::size_t scratch_bytes() const {
    const std::int64_t floats = together * state_floats() + kQueries * kTileKeys +
                                kTileKeys * (key_size + value_size) +
                                tiles_floats(kQueries, kTileKeys);
    return aligned(static_cast<std::size_t>(floats) * sizeof(float));
  }
  std::size_t bytes(int threads) const {
    return shares_bytes(threads) + partials_bytes() +
           static_cast<std::size_t>(threads) * scratch_bytes();
  }

  // ALiBi: what a head's mask is multiplied by.
  float slope(std::int64_t head) const {
    if (max_bias <= 0) return 1;
    const auto power = static_cast<float>(1 << static_cast<int>(std::log2(heads)));
    const auto h = static_cast<float>(head);
    return h < power ? std::pow(std::exp2(-max_bias / power), h + 1)
                     : std::pow(std::exp2(-max_bias / 2 / power), 2 * (h - power) + 1);
  }

  const ggml_tensor *q, *k, *v, *mask, *sinks;
  std::int64_t key_size, value_size, rows, heads, streams, keys, key_heads;
  std::int64_t sharing, queries, blocks, units, together, spans, span;
  float scale, max_bias, softcap;
};

// One thread's memory for one of the blocks that it computes together.
struct Scratch {
  Scratch(const Work& work, float* memory, std::int64_t which)
      : scores(memory),
        keys(scores + kQueries * kTileKeys),
        values(keys + kTileKeys * work.key_size),
        weight_tiles(values + kTileKeys * work.value_size),
        queries(weight_tiles + tiles_floats(kQueries, kTileKeys) + which * work.state_floats()),
        tiles(queries + work.block_queries() * work.key_size),
        sums(tiles + tiles_floats(work.block_queries(), work.key_size)),
        largest(sums + work.block_queries() * work.value_size),
        weights(largest + work.block_queries()) {}

  float *scores, *keys, *values, *weight_tiles;  // of the tile that is being computed
  float *queries, *tiles, *sums, *largest, *weights;
};

class Block {
 public:
  // `memory` is the thread's.
  Block(const Work& work, std::int64_t unit, float* memory)
      : work_(work),
        scratch_(work, memory, unit % work.together),
        first_(unit % work.blocks * kQueries),
        count_(std::min(kQueries, work.queries - first_)),
        key_head_(unit / work.blocks % work.key_heads),
        stream_(unit / work.blocks / work.key_heads) {}

  void begin() const {
    const std::int64_t size = work_.key_size;
    for (std::int64_t j = 0; j < count_; ++j) {
      const auto* from = at<const float>(work_.q, row(j), head(j), stream_);
      for (std::int64_t i = 0; i < size; ++i) {
        scratch_.queries[j * size + i] = from[i] * work_.scale;
      }
      scratch_.largest[j] = -std::numeric_limits<float>::infinity();
      scratch_.weights[j] = 0;
    }
    std::fill_n(scratch_.sums, count_ * work_.value_size, 0.0f);
    if (is_many()) fill_tiles(Tiles(count_), scratch_.queries, size, size, scratch_.tiles);
  }

  // Reads the keys and values of a tile, for this head of keys and those after it that are computed
  // together, in the order of memory.  A tile's own order, four short rows side by side, keeps so
  // few lines on their way that it took twice as long; to ask for them ahead (prefetch) did not
  // help, as CPUs drop what they can't follow.
  void bring_near(std::int64_t key, std::int64_t count) const {
    if (work_.mask != nullptr) skip_masked(key, count);
    for (const ggml_tensor* rows : {work_.k, work_.v}) {
      for (std::int64_t i = key; i < key + count; ++i) {
        read_lines(at(rows, i, key_head_, key_stream()),
                   static_cast<std::size_t>(work_.together - 1) * rows->nb[2] +
                       ggml_row_size(rows->type, rows->ne[0]));
      }
    }
  }

  void attend(std::int64_t key, std::int64_t count) const {
    if (work_.mask != nullptr) skip_masked(key, count);
    if (count == 0) return;
    const Rows keys{at(work_.k, key, key_head_, key_stream()), work_.k->nb[1], work_.k->type};
    const Rows values{at(work_.v, key, key_head_, key_stream()), work_.v->nb[1], work_.v->type};
    if (is_many()) {
      compute_scores(keys,
                     count,
                     work_.key_size,
                     Tiles(count_),
                     scratch_.tiles,
                     scratch_.keys,
                     scratch_.scores);
    } else {
      compute_scores(keys, count, work_.key_size, scratch_.queries, count_, scratch_.scores);
    }
    for (std::int64_t j = 0; j < count_; ++j) {
      const std::uint16_t* mask = mask_of(j);
      const float factor = weigh(scratch_.scores + j * kTileKeys,
                                 count,
                                 mask == nullptr ? nullptr : mask + key,
                                 work_.slope(head(j)),
                                 work_.softcap,
                                 scratch_.largest[j],
                                 scratch_.weights[j]);
      float* sums = scratch_.sums + j * work_.value_size;
      if (factor != 1) multiply_all(sums, work_.value_size, factor);
    }
    add(values, count);
  }

  // Writes the results.
  void finish(ggml_tensor* op) const {
    for (std::int64_t j = 0; j < count_; ++j) {
      finish(op, j, scratch_.largest[j], scratch_.weights[j], scratch_.sums + j * work_.value_size);
    }
  }

  // Writes what a span of the keys gave, to be joined with the others'.
  void write(float* partials) const {
    for (std::int64_t j = 0; j < count_; ++j) {
      float* partial = partials + j * work_.partial_floats();
      partial[0] = scratch_.largest[j];
      partial[1] = scratch_.weights[j];
      std::copy_n(scratch_.sums + j * work_.value_size, work_.value_size, partial + 2);
    }
  }

  // Adds up what the spans gave, each `stride` after the one before, and writes the results.
  void join(ggml_tensor* op, const float* partials, std::int64_t stride) const {
    for (std::int64_t j = 0; j < count_; ++j) {
      const float* own = partials + j * work_.partial_floats();
      float largest = own[0];
      for (std::int64_t s = 1; s < work_.spans; ++s) largest = std::max(largest, own[s * stride]);
      float weights = 0;
      std::fill_n(scratch_.sums, work_.value_size, 0.0f);
      for (std::int64_t s = 0; s < work_.spans; ++s) {
        const float* partial = own + s * stride;
        if (partial[1] == 0) continue;
        const float factor = std::exp(partial[0] - largest);
        weights += partial[1] * factor;
        for (std::int64_t i = 0; i < work_.value_size; ++i) {
          scratch_.sums[i] += partial[2 + i] * factor;
        }
      }
      finish(op, j, largest, weights, scratch_.sums);
    }
  }

 private:
  // Else to turn keys, and to widen values, costs more than it saves.
  bool is_many() const { return count_ > 2 * kAtOnce; }

  // Adds values, weighted by their scores.
  void add(Rows values, std::int64_t count) const {
    const std::int64_t size = work_.value_size;
    const Seen seen = seen_by(scratch_.scores, count_, count);
    if (is_many()) values = widened(values, count, size, scratch_.values);
    if (is_many() && seen.count == count && size % kFloatRows == 0) {
      add_values(values,
                 count,
                 size,
                 Tiles(count_),
                 scratch_.scores,
                 scratch_.weight_tiles,
                 scratch_.sums);
    } else {
      add_values(values, seen, size, scratch_.scores, count_, scratch_.sums);
    }
  }

  std::int64_t head(std::int64_t j) const {
    return key_head_ * work_.sharing + (first_ + j) % work_.sharing;
  }
  std::int64_t row(std::int64_t j) const { return (first_ + j) / work_.sharing; }

  // The stream of the keys: queries of several may share one.
  std::int64_t key_stream() const { return stream_ / (work_.streams / work_.k->ne[3]); }

  const std::uint16_t* mask_of(std::int64_t j) const {
    if (work_.mask == nullptr) return nullptr;
    const ggml_tensor* mask = work_.mask;
    return at<const std::uint16_t>(mask, row(j), head(j) % mask->ne[2], stream_ % mask->ne[3]);
  }

  // Narrows a tile to the keys that some query may see.
  void skip_masked(std::int64_t& key, std::int64_t& count) const {
    std::int64_t first = count, end = 0;
    const std::int64_t step = work_.mask->ne[2] == 1 ? work_.sharing : 1;
    for (std::int64_t j = 0; j < count_; j += step) {
      const std::uint16_t* mask = mask_of(j) + key;
      std::int64_t i = 0;
      while (i < first && mask[i] == kMasked) ++i;
      first = std::min(first, i);
      i = count;
      while (i > end && mask[i - 1] == kMasked) --i;
      end = std::max(end, i);
    }
    // A block may begin in the middle of a row: its last query's row was not stepped on.
    if (step > 1) {
      const std::uint16_t* mask = mask_of(count_ - 1) + key;
      for (std::int64_t i = 0; i < count; ++i) {
        if (mask[i] == kMasked) continue;
        first = std::min(first, i);
        end = std::max(end, i + 1);
      }
    }
    key += first;
    count = std::max<std::int64_t>(end - first, 0);
  }

  // Writes the result of query `j`: `sums` over the sum of its weights and that of its head's sink.
  void finish(
      ggml_tensor* op, std::int64_t j, float largest, float weights, const float* sums) const {
    float factor = 1;
    if (work_.sinks != nullptr) {
      const float sink = static_cast<const float*>(work_.sinks->data)[head(j)];
      const float most = std::max(largest, sink);
      factor = std::exp(largest - most);
      weights = weights * factor + std::exp(sink - most);
    }
    auto* out = at<float>(op, head(j), row(j), stream_);
    const float share = weights == 0 ? 0 : factor / weights;
    for (std::int64_t i = 0; i < work_.value_size; ++i) out[i] = sums[i] * share;
  }

  const Work& work_;
  Scratch scratch_;
  std::int64_t first_, count_, key_head_, stream_;
};

class FewRows final : public ggml::cpu::tensor_traits {
 public:
  bool work_size(int threads, const ggml_tensor* op, std::size_t& size) override {
    size = std::max(Work(op).bytes(threads), stocks_work_bytes(threads, op));
    return true;
  }

  bool compute_forward(ggml_compute_params* params, ggml_tensor* op) override {
    const Work work(op);
    if (params->use_ref || params->wsize < work.bytes(params->nth)) return false;
    char* memory = work_of(*params);
    auto* partials = reinterpret_cast<float*>(memory);
    const auto own = static_cast<std::size_t>(params->ith) * work.scratch_bytes();
    auto* scratch = reinterpret_cast<float*>(memory + work.partials_bytes() + own);

    const std::int64_t stride = work.block_queries() * work.partial_floats();
    const std::int64_t items = work.units / work.together * work.spans;
    for_items(*params, items, [&](std::int64_t item) {
      const std::int64_t span = item % work.spans, first_unit = item / work.spans * work.together;
      const std::int64_t end_key = std::min((span + 1) * work.span, work.keys);
      const auto each_unit = [&](const auto& use) {
        for (std::int64_t i = 0; i < work.together; ++i) use(first_unit + i);
      };
      each_unit([&](std::int64_t unit) { Block(work, unit, scratch).begin(); });
      for (std::int64_t key = span * work.span; key < end_key; key += kTileKeys) {
        const std::int64_t count = std::min(kTileKeys, end_key - key);
        if (work.blocks == 1) Block(work, first_unit, scratch).bring_near(key, count);
        each_unit([&](std::int64_t unit) { Block(work, unit, scratch).attend(key, count); });
      }
      each_unit([&](std::int64_t unit) {
        const Block block(work, unit, scratch);
        if (work.spans == 1) {
          block.finish(op);
        } else {
          block.write(partials + (unit * work.spans + span) * stride);
        }
      });
    });
    if (work.spans > 1) {
      ggml_barrier(params->threadpool);
      for (std::int64_t unit = params->ith; unit < work.units; unit += params->nth) {
        Block(work, unit, scratch).join(op, partials + unit * work.spans * stride, stride);
      }
    }
    return true;
  }

 private:
  // What ggml's own code needs where ours declines after the plan was made (use_ref).
  static std::size_t stocks_work_bytes(int threads, const ggml_tensor* op) {
    const std::int64_t key_size = op->src[1]->ne[0], value_size = op->src[2]->ne[0];
    const std::int64_t tiled = GGML_FA_TILE_Q * (key_size + 2 * GGML_FA_TILE_KV + value_size) +
                               GGML_FA_TILE_KV * (key_size + value_size);
    const std::int64_t split = op->src[0]->ne[2] * (2 + value_size) + key_size + 2 * value_size;
    return static_cast<std::size_t>(std::max(tiled, split) * threads) * sizeof(float);
  }
};

bool suits(const ggml_tensor* rows) {
  return is_readable(rows->type) && rows->nb[0] == ggml_type_size(rows->type) &&
         rows->ne[0] % std::max<std::int64_t>(8, ggml_blck_size(rows->type)) == 0;
}

}  // namespace

ggml::cpu::tensor_traits* attention_for(const ggml_tensor* op) {
  const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
  const bool fits = q->type == GGML_TYPE_F32 && q->nb[0] == sizeof(float) && suits(k) && suits(v) &&
                    k->ne[2] == v->ne[2] && k->ne[3] == v->ne[3] && op->src[5] == nullptr &&
                    (mask == nullptr || mask->nb[0] == sizeof(std::uint16_t));
  static FewRows few_rows;
  return fits ? &few_rows : nullptr;
}

}  // namespace llmlocal::kernels

#endif
