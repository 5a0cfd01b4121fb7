// The engine's encoder over one llama_context.
//
// The context begins small and is exchanged for a larger one when a longer text comes: what it
// takes grows with the square of its longest text, which may be of 8,192 tokens and mostly is not.
#pragma once

#include <llama.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/encoder/encoder.h"
#include "llama/context.h"
#include "llama/model.h"

namespace llmlocal {

struct EmbedderOptions {
  Position window = 0;                  // Tokens of one text at most; >= 1.
  std::int32_t batch = 128;             // Tokens that are evaluated together; >= 1.
  int threads = 1;                      // 1 to 512.
  bool offload = false;                 // Compute on the model's devices.
  std::optional<bool> flash_attention;  // Nothing = what suits the device.
  // "mean", "cls", "last" or "rank"; nothing = what the model's file says.
  std::optional<std::string> pooling;
};

class Embedder final : public Encoder {
 public:
  // Throws ParameterError, ModelLoadError for a model that has no pooling, OutOfMemoryError or
  // EngineError with llama.cpp's reason.
  Embedder(std::shared_ptr<const Model> model, EmbedderOptions options);

  std::string pooling() const;  // The name.
  std::shared_ptr<const ContextSizes> context_sizes() const { return contexts_.sizes(); }

  std::size_t dimensions() const override { return dimensions_; }
  Position window() const override { return options_.window; }
  std::int32_t vocab_size() const override;
  std::size_t batch_tokens() const override { return static_cast<std::size_t>(options_.batch); }
  std::size_t batch_texts() const override;
  int max_threads() const override { return options_.threads; }
  std::optional<double> cpu_seconds() const override {
    return options_.offload ? std::nullopt : contexts_.cpu_seconds();
  }

  DecodeStatus encode(const TextBatch& batch, const std::function<bool()>& should_stop) override;
  std::span<const float> vector(std::size_t text) override;
  void set_threads(int n) override { threads_ = n; }

 private:
  void make_room(std::size_t tokens);
  Context make_context(std::size_t tokens);

  std::shared_ptr<const Model> model_;
  EmbedderOptions options_;
  enum llama_pooling_type pooling_;
  std::size_t dimensions_;
  int threads_;
  ContextMaker contexts_;
  std::size_t room_ = 0;  // Tokens of a batch that the context has room for.
  Context context_;
};

}  // namespace llmlocal
