#include "llama/llama_decoder.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/errors.h"
#include "engine/first_room.h"
#include "llama/attention.h"
#include "llama/backend.h"
#include "llama/devices.h"
#include "llama/log.h"
#include "llama/sampler_chain.h"

namespace llmlocal {
namespace {

// With room for fewer rows of logits, llama.cpp lays its work space out in a way that has prompts 4
// to 8 % slower on two threads (SmolLM2-135M; contexts of 1,280 to 8,192, 64 to 512 rows at once).
constexpr StreamId kFewestOutputs = 16;

std::string megabytes(std::size_t bytes) {
  return std::to_string((bytes + 500'000) / 1'000'000) + " MB";
}

}  // namespace

LlamaDecoder::LlamaDecoder(std::shared_ptr<const Model> model,
                           std::shared_ptr<const Tokenizer> tokenizer,
                           DecoderOptions options)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      options_(std::move(options)),
      attention_(options_.kv_type, options_.flash_attention, options_.offload) {
  if (!model_->can_generate() || model_->has_encoder()) {
    throw ModelLoadError(model_->path() + " holds a model that can't generate text by itself (" +
                         model_->description() + ")");
  }
  pool_ = make_thread_pool(options_.threads);
  if (keeps_whole_only()) {
    measure_stream_bytes();
  } else {
    const double each = bytes_per_value(attention_.type());
    token_bytes_ = model_->kv_bytes_per_token(each, each);
  }
  // Devices keep what they are given: others may want their memory later.
  const Position whole = options_.context_length;
  room_ = options_.offload ? whole : first_room(whole, token_bytes_, free_memory());
  context_ = make_context(streams_, room_);
}

// Recurrent layers have states of many kinds, and where they are mixed with attention, only some
// layers keep something for each token.  So llama.cpp is asked: by how much the saved state of a
// sequence grows with its second token.
void LlamaDecoder::measure_stream_bytes() {
  const Context probe = make_context(1, 2);
  llama_set_n_threads(probe.get(), 1, 1);
  guarded("measuring a stream", [&] {
    std::array<std::size_t, 2> sizes{};
    for (std::size_t& size : sizes) {
      llama_token token = 0;
      if (llama_decode(probe.get(), llama_batch_get_one(&token, 1)) != 0) {
        throw EngineError("a trial step failed");
      }
      size = llama_state_seq_get_size(probe.get(), 0);
    }
    token_bytes_ = sizes[1] - sizes[0];
    state_bytes_ = sizes[0] - token_bytes_;
  });
}

LlamaDecoder::Context LlamaDecoder::make_context(StreamId streams, Position room) {
  const auto count = static_cast<std::size_t>(streams);
  const std::size_t needed = count * stream_bytes(room);
  const std::string what = "a KV cache for " + std::to_string(streams) + " x " +
                           std::to_string(room) + " tokens (" + megabytes(needed) + ")";
  const std::size_t free = free_memory();
  if (!options_.offload && free > 0 && needed > free) {
    throw OutOfMemoryError("not enough memory for " + what + ": " + megabytes(free) +
                           " are free; lower n_ctx or choose a smaller kv_type");
  }
  // Each stream is padded to 256 tokens, so that every one of them holds what was asked for.
  constexpr std::size_t kPad = 256;
  const std::size_t padded = (static_cast<std::size_t>(room) + kPad - 1) / kPad * kPad;
  if (padded * count > UINT32_MAX / 2) throw OutOfMemoryError("there is no room for " + what);

  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(padded * count);
  params.n_batch = static_cast<std::uint32_t>(std::max(options_.batch, streams));
  params.n_ubatch = std::min(params.n_batch,
                             attention_.rows_at_once(padded, llama_model_n_head(model_->handle())));
  params.n_seq_max = static_cast<std::uint32_t>(streams);
  params.n_outputs_max = static_cast<std::uint32_t>(std::max(streams, kFewestOutputs));
  params.n_threads = options_.threads;
  params.n_threads_batch = options_.threads;
  params.type_k = attention_.type();
  params.type_v = params.type_k;
  params.flash_attn_type = attention_.kernel();
  params.kv_unified = false;
  params.swa_full = true;
  params.no_perf = true;
  params.offload_kqv = options_.offload;
  params.op_offload = options_.offload;
  params.abort_callback = should_abort;
  params.abort_callback_data = this;

  const RegistryUse use;
  const ErrorLines log(LogLevel::kInfo, ErrorLines::Then::kPassOn);
  const ErrorLines errors;
  Context context(guarded("making the context",
                          [&] { return llama_init_from_model(model_->handle(), params); }));
  require_devices();
  if (!context) {
    const std::string reason = errors.text().empty() ? "llama.cpp gave no reason" : errors.text();
    if (speaks_of_memory(reason)) {
      throw OutOfMemoryError("there is no room for " + what + ": " + reason);
    }
    throw EngineError("this model can't have " + what + ": " + reason);
  }
  if (pool_) llama_attach_threadpool(context.get(), pool_.get(), pool_.get());
  context_sizes_->set(told_buffer_sizes(log.text()));
  return context;
}

std::size_t LlamaDecoder::batch_capacity() const {
  return llama_n_batch(context_.get());
}

bool LlamaDecoder::should_abort(void* self) {
  const auto& check = static_cast<LlamaDecoder*>(self)->abort_check_;
  return check && check();
}

void LlamaDecoder::set_abort_check(std::function<bool()> check) {
  abort_check_ = std::move(check);
}

void LlamaDecoder::set_threads(int n) {
  llama_set_n_threads(context_.get(), n, n);
}

DecodeStatus LlamaDecoder::decode(const Batch& batch) {
  // llama.cpp takes the batch by pointers that it does not write to.
  std::vector<std::int32_t> one_stream_each(batch.size(), 1);
  std::vector<llama_seq_id*> stream_of(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i) {
    stream_of[i] = const_cast<llama_seq_id*>(&batch.streams[i]);  // NOLINT(*-const-cast)
  }
  llama_batch rows{};
  rows.n_tokens = static_cast<std::int32_t>(batch.size());
  rows.token = const_cast<llama_token*>(batch.tokens.data());  // NOLINT(*-const-cast)
  rows.pos = const_cast<llama_pos*>(batch.positions.data());   // NOLINT(*-const-cast)
  rows.n_seq_id = one_stream_each.data();
  rows.seq_id = stream_of.data();
  rows.logits = const_cast<std::int8_t*>(batch.wants_logits.data());  // NOLINT(*-const-cast)

  // An aborted step warns of what it undid.
  const ErrorLines errors(LogLevel::kWarning);
  const std::int32_t result =
      guarded("evaluating a step", [&] { return llama_decode(context_.get(), rows); });
  require_devices();
  if (result == 0) return DecodeStatus::kOk;
  if (result == 2) return DecodeStatus::kAborted;
  throw EngineError("evaluating a step failed (" + std::to_string(result) + ")" +
                    (errors.text().empty() ? "" : ": " + errors.text()));
}

std::span<float> LlamaDecoder::logits(std::size_t row) {
  float* logits = guarded("reading logits", [&] {
    return llama_get_logits_ith(context_.get(), static_cast<std::int32_t>(row));
  });
  // Steps of remote devices end when their results are read.
  require_devices();
  if (!logits) throw EngineError("a step gave no logits for row " + std::to_string(row));
  return {logits, static_cast<std::size_t>(vocab_size())};
}

void LlamaDecoder::require_devices() const {
  if (const auto loss = model_->lost_device()) {
    throw EngineError(*loss + "; what it held is gone, so close this model and load it again");
  }
}

std::unique_ptr<Sampler> LlamaDecoder::make_sampler(const SamplingParams& params,
                                                    std::span<const Token> prompt) {
  return std::make_unique<SamplerChain>(model_->vocab(), params, prompt);
}

Position LlamaDecoder::length(StreamId stream) const {
  return llama_memory_seq_pos_max(memory(), stream) + 1;
}

bool LlamaDecoder::copies_whole_only() const {
  return keeps_whole_only() || model_->sliding_window() > 0;
}

Position LlamaDecoder::trim_floor(StreamId stream) const {
  if (keeps_whole_only()) return length(stream);
  const Position window = model_->sliding_window();
  if (window == 0) return 0;
  // A restored state begins somewhere in the text; what follows needs a whole window before it.
  const Position first = llama_memory_seq_pos_min(memory(), stream);
  return first <= 0 ? 0 : first + window;
}

Position LlamaDecoder::copy_floor(StreamId stream) const {
  const bool window_is_all = !keeps_whole_only() && length(stream) <= model_->sliding_window();
  return copies_whole_only() && !window_is_all ? length(stream) : 0;
}

bool LlamaDecoder::trim(StreamId stream, Position new_length) {
  if (new_length == length(stream)) return true;
  const bool trimmed = guarded(
      "trimming a stream", [&] { return llama_memory_seq_rm(memory(), stream, new_length, -1); });
  if (!trimmed || length(stream) != new_length) {
    clear(stream);
    return false;
  }
  return true;
}

void LlamaDecoder::clear(StreamId stream) {
  guarded("clearing a stream", [&] { return llama_memory_seq_rm(memory(), stream, -1, -1); });
}

bool LlamaDecoder::copy(StreamId from, StreamId to) {
  // llama.cpp's own copy across streams moves whole streams, and only with the next step.
  const std::optional<StateBlob> blob = save(from);
  return blob && restore(to, *blob);
}

StateLayout LlamaDecoder::layout_of(StreamId stream, std::size_t state_size) const {
  StateLayout layout{static_cast<std::uint32_t>(streams_), static_cast<std::uint32_t>(stream), {}};
  const bool recurrent = model_->is_recurrent() && !model_->is_hybrid();
  if (recurrent) return layout;
  constexpr std::size_t kHeader = 8;
  const bool has_second_part = model_->is_hybrid() || model_->sliding_window() > 0;
  const std::size_t second = has_second_part
                                 ? llama_state_seq_get_size_ext(
                                       context_.get(), stream, LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY) -
                                       kHeader
                                 : 0;
  // Where the partial state is all of it, there is one section only.
  const bool one_section = second == 0 || second + kHeader >= state_size;
  layout.kv_sections[0] = state_size - kHeader - (one_section ? 0 : second);
  if (!one_section && !model_->is_hybrid()) layout.kv_sections[1] = second;
  return layout;
}

// A blob is the layout, followed by the state as llama.cpp wrote it.
std::optional<StateBlob> LlamaDecoder::save(StreamId stream) {
  const ErrorLines errors;
  return guarded("saving a stream", [&]() -> std::optional<StateBlob> {
    const std::size_t size = llama_state_seq_get_size(context_.get(), stream);
    if (size == 0) return std::nullopt;
    const StateLayout layout = layout_of(stream, size);
    StateBlob blob;
    blob.size = sizeof(layout) + size;
    // Not make_unique: that would write the memory once more.
    blob.data.reset(new std::byte[blob.size]);  // NOLINT(*-owning-memory)
    std::memcpy(blob.data.get(), &layout, sizeof(layout));
    auto* state = reinterpret_cast<std::uint8_t*>(blob.data.get() + sizeof(layout));  // NOLINT
    if (llama_state_seq_get_data(context_.get(), state, size, stream) != size) return std::nullopt;
    blob.length = length(stream);
    blob.floor = copy_floor(stream);
    return blob;
  });
}

bool LlamaDecoder::restore(StreamId stream, const StateBlob& blob) {
  StateLayout layout;
  std::memcpy(&layout, blob.data.get(), sizeof(layout));
  std::span<const std::byte> state(blob.data.get() + sizeof(layout), blob.size - sizeof(layout));
  std::optional<std::vector<std::byte>> fitted;
  if (layout.streams != static_cast<std::uint32_t>(streams_)) {
    fitted = fit_to_streams(state, layout, static_cast<std::uint32_t>(streams_));
    if (!fitted) return false;
    state = *fitted;
  }
  clear(stream);
  const ErrorLines errors;
  const bool restored = guarded("restoring a stream", [&] {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(state.data());  // NOLINT
    return llama_state_seq_set_data(context_.get(), bytes, state.size(), stream) != 0;
  });
  if (restored && length(stream) == blob.length) return true;
  clear(stream);
  return false;
}

std::vector<bool> LlamaDecoder::grow(StreamId streams, Position room) {
  std::vector<std::optional<StateBlob>> blobs;
  blobs.reserve(static_cast<std::size_t>(streams_));
  for (StreamId id = 0; id < streams_; ++id) {
    blobs.push_back(length(id) > 0 ? save(id) : std::nullopt);
  }
  std::vector<bool> survived(blobs.size());
  context_ = make_context(streams, room);
  streams_ = streams;
  room_ = room;
  for (std::size_t i = 0; i < blobs.size(); ++i) {
    const auto id = static_cast<StreamId>(i);
    const std::optional<StateBlob>& blob = blobs[i];
    try {
      survived[i] = blob && restore(id, *blob);
    } catch (const std::exception&) {
      clear(id);  // What can't be put back is evaluated again.
    }
  }
  return survived;
}

void LlamaDecoder::restart(Position room) {
  const auto make = [this](Position wanted) {
    context_ = make_context(1, wanted);
    streams_ = 1;
    room_ = wanted;
  };
  context_.reset();
  try {
    make(room);
  } catch (...) {
    try {
      make(std::min(kShortRoom, options_.context_length));
    } catch (const std::exception& error) {
      throw EngineError(std::string(error.what()) + "; close this model and load it again");
    }
    throw;
  }
}

}  // namespace llmlocal
