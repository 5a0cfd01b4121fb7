// The engine's decoder over one llama_context.
#pragma once

#include <llama.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/decoder.h"
#include "llama/attention.h"
#include "llama/context.h"
#include "llama/model.h"
#include "llama/sequences.h"
#include "llama/tokenizer.h"

namespace llmlocal {

struct DecoderOptions {
  Position context_length = 0;  // Tokens of one sequence; >= 1.
  std::int32_t batch = 512;     // Tokens of one step; >= 1.
  int threads = 1;              // 1 to 512.
  std::string kv_type = "f16";  // f32, f16, bf16, q8_0, q5_0, q5_1, q4_0, q4_1, iq4_nl.
  bool offload = false;         // Keep the KV cache on the model's devices.
  // Fuse the steps of attention; quantized KV types need it.  Nothing = what suits the device.
  std::optional<bool> flash_attention;
  // A text that is likely asked for, and the bytes that its state has; there is room for it at
  // once.
  Position likely_length = 0;
  std::uint64_t likely_bytes = 0;
};

class LlamaDecoder final : public Decoder {
 public:
  // Throws ParameterError, OutOfMemoryError or EngineError with llama.cpp's reason.
  LlamaDecoder(std::shared_ptr<const Model> model,
               std::shared_ptr<const Tokenizer> tokenizer,
               DecoderOptions options);

  // All that a saved state depends on but for the model and the tokens.  Throws ParameterError.
  static std::string state_identity(const DecoderOptions& options);
  // Grows with the streams; outlives the decoder.
  std::shared_ptr<const ContextSizes> context_sizes() const { return contexts_.sizes(); }

  Position context_length() const override { return options_.context_length; }
  std::size_t batch_capacity() const override;
  std::size_t output_capacity() const override;
  StreamId streams() const override { return sequences_ ? sequences_->streams() : 1; }
  Position room() const override { return sequences_ ? sequences_->room() : 0; }
  Position shortest_room() const override { return shortest_room_; }
  std::size_t stream_bytes(Position room) const override {
    return state_bytes_ + token_bytes_ * static_cast<std::size_t>(room);
  }
  std::int32_t vocab_size() const override { return tokenizer_->vocab_size(); }
  bool is_end(Token token) const override { return tokenizer_->is_end(token); }
  const std::string& piece(Token token) const override { return tokenizer_->piece(token); }

  DecodeStatus decode(const Batch& batch) override;
  std::span<float> logits(std::size_t row) override;
  void set_abort_check(std::function<bool()> check) override {
    contexts_.set_abort_check(std::move(check));
  }
  void set_threads(int n) override;
  int max_threads() const override { return options_.threads; }
  std::optional<double> cpu_seconds() const override {
    return options_.offload ? std::nullopt : contexts_.cpu_seconds();
  }
  std::shared_ptr<SamplerFactory> samplers() const override { return samplers_; }

  bool copies_whole_only() const override { return sequences_->copies_whole_only(); }
  Position trim_floor(StreamId stream) const override { return sequences_->trim_floor(stream); }
  Position copy_floor(StreamId stream) const override { return sequences_->copy_floor(stream); }
  bool trim(StreamId stream, Position length) override { return sequences_->trim(stream, length); }
  void clear(StreamId stream) override { sequences_->clear(stream); }
  bool copy(StreamId from, StreamId to) override;
  std::optional<StateBlob> save(StreamId stream) override { return sequences_->save(stream); }
  bool restore(StreamId stream, const StateBlob& blob) override {
    return sequences_->restore(stream, blob);
  }
  std::optional<StateBlob> save_part(StreamId stream) override {
    return sequences_->save_part(stream);
  }
  bool cut_back(StreamId stream, const StateBlob& part) override {
    return sequences_->cut_back(stream, part);
  }
  std::vector<bool> reshape(std::span<const StreamId> kept, CacheShape shape) override;
  void restart(Position room) override;

 private:
  Context make_context(StreamId streams, Position room);
  std::unique_ptr<Sequences> make_sequences(StreamId streams, Position room);

  std::shared_ptr<const Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  DecoderOptions options_;
  Attention attention_;
  Position shortest_room_;
  std::size_t state_bytes_ = 0;  // Of a stream, whatever its length.
  std::size_t token_bytes_ = 0;  // Of a stream, for each token.
  ContextMaker contexts_;
  std::shared_ptr<SamplerFactory> samplers_;
  std::unique_ptr<Sequences> sequences_;
};

}  // namespace llmlocal
