// An Encoder without a model, strict about its contract.
//
// A text's vector is told by its tokens alone, so whatever the engine mixes up shows in the result.
// What happens outlives it in a log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/token.h"
#include "engine/encoder/encoder.h"
#include "step_gate.h"

namespace llmlocal::testing {

// The first token of each text tells the tests which one it is.
using TextNames = std::vector<Token>;

class EncoderLog {
 public:
  void add(TextNames names, std::size_t tokens) {
    const std::lock_guard lock(mutex_);
    batches_.push_back(std::move(names));
    tokens_.push_back(tokens);
  }
  void add_violation(const std::string& what) {
    const std::lock_guard lock(mutex_);
    violations_ += what + "; ";
  }
  std::vector<TextNames> batches() const {
    const std::lock_guard lock(mutex_);
    return batches_;
  }
  std::vector<std::size_t> tokens() const {
    const std::lock_guard lock(mutex_);
    return tokens_;
  }
  std::string violations() const {
    const std::lock_guard lock(mutex_);
    return violations_;
  }

 private:
  mutable std::mutex mutex_;  // Guards everything below.
  std::vector<TextNames> batches_;
  std::vector<std::size_t> tokens_;  // Of each batch.
  std::string violations_;
};

struct FakeEncoderOptions {
  Position window = 64;
  std::size_t batch_tokens = 16;
  std::size_t batch_texts = 4;
  std::shared_ptr<StepGate> gate = std::make_shared<StepGate>();
  // Called by the engine's thread in the midst of encode(); may throw.
  std::function<void(const TextNames&)> on_encode;
  // What it gives instead of the text's own vector.
  std::function<float(Token name, float value)> on_value;
};

inline constexpr std::size_t kFakeDimensions = 2;

class FakeEncoder : public Encoder {
 public:
  FakeEncoder(FakeEncoderOptions options, std::shared_ptr<EncoderLog> log)
      : options_(std::move(options)), log_(std::move(log)) {}

  // The name of a text, and the sum of its tokens.
  static std::vector<float> vector_of(std::span<const Token> tokens) {
    return {static_cast<float>(tokens[0]),
            static_cast<float>(std::accumulate(tokens.begin(), tokens.end(), 0))};
  }

  std::size_t dimensions() const override { return kFakeDimensions; }
  Position window() const override { return options_.window; }
  std::int32_t vocab_size() const override { return 10'000; }
  std::size_t batch_tokens() const override { return options_.batch_tokens; }
  std::size_t batch_texts() const override { return options_.batch_texts; }
  int max_threads() const override { return 4; }
  // Waiting takes no time on CPUs.
  std::optional<double> cpu_seconds() const override { return std::nullopt; }

  DecodeStatus encode(const TextBatch& batch, const std::function<bool()>& should_stop) override {
    check(batch);
    vectors_.clear();
    TextNames names;
    std::size_t begin = 0;
    for (const std::size_t length : batch.lengths) {
      const auto tokens = std::span(batch.tokens).subspan(begin, length);
      names.push_back(tokens[0]);
      vectors_.push_back(vector_of(tokens));
      if (options_.on_value) vectors_.back()[1] = options_.on_value(tokens[0], vectors_.back()[1]);
      begin += length;
    }
    log_->add(names, batch.tokens.size());
    options_.gate->pass(should_stop);
    if (should_stop()) return DecodeStatus::kAborted;
    if (options_.on_encode) options_.on_encode(names);
    return DecodeStatus::kOk;
  }
  std::span<const float> vector(std::size_t text) override {
    check_thread();
    return vectors_.at(text);
  }
  void set_threads(int n) override {
    check_thread();
    require(n >= 1 && n <= max_threads(), "threads out of range");
  }

 private:
  void check(const TextBatch& batch) {
    check_thread();
    const std::size_t total =
        std::accumulate(batch.lengths.begin(), batch.lengths.end(), std::size_t{0});
    require(!batch.lengths.empty(), "an empty batch");
    require(total == batch.tokens.size(), "lengths that do not add up");
    require(batch.lengths.size() <= options_.batch_texts, "too many texts");
    require(total <= options_.batch_tokens || batch.lengths.size() == 1, "too many tokens");
    for (const std::size_t length : batch.lengths) {
      require(length > 0 && length <= static_cast<std::size_t>(options_.window), "a wrong length");
    }
  }
  void check_thread() {
    if (thread_ == std::thread::id()) thread_ = std::this_thread::get_id();
    require(thread_ == std::this_thread::get_id(), "called from another thread");
  }
  void require(bool holds, const std::string& rule) {
    if (!holds) log_->add_violation(rule);
  }

  FakeEncoderOptions options_;
  std::shared_ptr<EncoderLog> log_;
  std::thread::id thread_;
  std::vector<std::vector<float>> vectors_;
};

}  // namespace llmlocal::testing
