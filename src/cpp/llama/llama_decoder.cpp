#include "llama/llama_decoder.h"

#include <algorithm>
#include <utility>

#include "base/errors.h"
#include "base/system_memory.h"
#include "engine/streams/first_room.h"
#include "llama/attention.h"
#include "llama/log.h"
#include "llama/sampler_chain.h"

namespace llmlocal {
namespace {

// With room for fewer rows of logits, llama.cpp lays its work space out in a way that has prompts 4
// to 8 % slower on two threads (SmolLM2-135M; contexts of 1,280 to 8,192, 64 to 512 rows at once).
constexpr StreamId kFewestOutputs = 16;

std::uint32_t outputs_of(StreamId streams) {
  return static_cast<std::uint32_t>(std::max(streams, kFewestOutputs));
}

Attention attention_of(const DecoderOptions& options) {
  return {options.kv_type, options.flash_attention, options.offload};
}

// To grow later would mean to make all of it twice.  A question follows the text.  Where that may
// be much of the memory, it is left until it is known what a token takes.
Position likely_room(Position shortest, Position whole, const DecoderOptions& options) {
  constexpr Position kQuestion = 64;
  if (options.likely_length == 0 || options.likely_bytes > free_memory() / 16) return shortest;
  return doubled(shortest, std::min(options.likely_length, whole - kQuestion) + kQuestion, whole);
}

}  // namespace

LlamaDecoder::LlamaDecoder(std::shared_ptr<const Model> model,
                           std::shared_ptr<const Tokenizer> tokenizer,
                           DecoderOptions options)
    : model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      options_(std::move(options)),
      attention_(attention_of(options_)),
      shortest_room_(options_.context_length),
      contexts_(model_, options_.threads, options_.offload),
      samplers_(std::make_shared<SamplerChainFactory>(model_, options_.context_length)) {
  if (!model_->why_no_text().empty()) {
    throw ModelLoadError(model_->path() + " can't generate: " + model_->why_no_text());
  }
  // A short one tells what a sequence takes, since only llama.cpp knows what each layer keeps.
  // Devices keep what they are given: others may want their memory later.
  const Position whole = options_.context_length;
  const bool is_flat = model_->is_recurrent() && !model_->is_hybrid();
  shortest_room_ = options_.offload || is_flat ? whole : std::min(kShortRoom, whole);
  sequences_ = make_sequences(1, likely_room(shortest_room_, whole, options_));
  const SequenceBytes each = contexts_.sequence_bytes();
  state_bytes_ = static_cast<std::size_t>(each.state);
  token_bytes_ = static_cast<std::size_t>(each.token);
  if (options_.offload) return;
  const Position room = first_room(whole, token_bytes_, free_memory());
  if (room <= shortest_room_) return;
  shortest_room_ = room;
  if (room <= sequences_->room()) return;
  sequences_.reset();
  sequences_ = make_sequences(1, room);
}

std::string LlamaDecoder::state_identity(const DecoderOptions& options) {
  std::string text = "llama.cpp " LLMLOCAL_LLAMA_CPP_COMMIT ", sequence state ";
  text += std::to_string(LLAMA_STATE_SEQ_VERSION);
  text += ", keys and values " + options.kv_type + ", attention kernel ";
  text += std::to_string(static_cast<int>(attention_of(options).kernel()));
  text += options.offload ? ", on devices" : ", on the CPU";
  return text + ", whole windows, no adapters";
}

Context LlamaDecoder::make_context(StreamId streams, Position room) {
  const auto count = static_cast<std::size_t>(streams);
  const std::size_t needed = count * stream_bytes(room);
  const std::string what = "a KV cache for " + std::to_string(streams) + " x " +
                           std::to_string(room) + " tokens" +
                           (needed > 0 ? " (" + megabytes(needed) + ")" : "");
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
  params.n_outputs_max = outputs_of(streams);
  params.type_k = attention_.type();
  params.type_v = params.type_k;
  params.flash_attn_type = attention_.kernel();
  params.kv_unified = false;
  params.swa_full = true;
  return contexts_.make(params, what, needed);
}

std::unique_ptr<Sequences> LlamaDecoder::make_sequences(StreamId streams, Position room) {
  return std::make_unique<Sequences>(
      make_context(streams, room), *model_, contexts_.guarded(), streams, room);
}

std::size_t LlamaDecoder::batch_capacity() const {
  return sequences_ ? llama_n_batch(sequences_->context())
                    : static_cast<std::size_t>(options_.batch);
}

std::size_t LlamaDecoder::output_capacity() const {
  return std::min<std::size_t>(outputs_of(streams()), batch_capacity());
}

void LlamaDecoder::set_threads(int n) {
  llama_set_n_threads(sequences_->context(), n, n);
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
  contexts_.require_files();
  const std::int32_t result = contexts_.guarded()(
      "evaluating a step", [&] { return llama_decode(sequences_->context(), rows); });
  contexts_.require_devices();
  contexts_.require_files();  // The step may have read what is not the model's.
  if (result == 0) return DecodeStatus::kOk;
  if (result == 2) return DecodeStatus::kAborted;
  throw EngineError("evaluating a step failed (" + std::to_string(result) + ")" +
                    (errors.text().empty() ? "" : ": " + errors.text()));
}

std::span<float> LlamaDecoder::logits(std::size_t row) {
  float* logits = contexts_.guarded()("reading logits", [&] {
    return llama_get_logits_ith(sequences_->context(), static_cast<std::int32_t>(row));
  });
  // Steps of remote devices end when their results are read.
  contexts_.require_devices();
  if (!logits) throw EngineError("a step gave no logits for row " + std::to_string(row));
  return {logits, static_cast<std::size_t>(vocab_size())};
}

bool LlamaDecoder::copy(StreamId from, StreamId to) {
  // llama.cpp's own copy across streams moves whole streams, and only with the next step.
  const std::optional<StateBlob> blob = save(from);
  return blob && restore(to, *blob);
}

std::vector<bool> LlamaDecoder::reshape(std::span<const StreamId> kept, CacheShape shape) {
  std::vector<bool> survived(kept.size());
  std::unique_ptr<Sequences> changed = make_sequences(shape.streams, shape.room);
  // One at a time, as each is there three times meanwhile.
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const auto id = static_cast<StreamId>(i);
    try {
      const std::optional<StateBlob> blob = sequences_->save(kept[i]);
      survived[i] = blob && blob->length <= shape.room && changed->restore(id, *blob);
    } catch (const std::exception&) {
      changed->clear(id);  // What can't be moved is evaluated again.
    }
  }
  sequences_ = std::move(changed);
  return survived;
}

void LlamaDecoder::restart(Position room) {
  sequences_.reset();
  try {
    sequences_ = make_sequences(1, room);
  } catch (...) {
    try {
      sequences_ = make_sequences(1, std::min(kShortRoom, options_.context_length));
    } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): not even for this one
    }
    throw;
  }
}

}  // namespace llmlocal
