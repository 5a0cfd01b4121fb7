// Texts that one caller wants the vectors of: what is asked for, how to stop it, where they arrive.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "engine/outcome.h"
#include "engine/stop_signal.h"
#include "engine/token_channel.h"

namespace llmlocal {

struct EmbeddingSpec {
  std::vector<Tokens> texts;                             // None of them empty.
  std::optional<std::chrono::duration<double>> timeout;  // From submission; > 0.

  // Throws ParameterError for what is out of its range, ContextOverflowError for too long a text.
  void validate(Position window, std::int32_t vocab_size) const;
};

class EmbeddingJob {
 public:
  // Holds the memory for `dimensions` numbers of each text.
  EmbeddingJob(EmbeddingSpec spec, std::size_t dimensions);

  std::size_t size() const { return spec_.texts.size(); }
  std::size_t dimensions() const { return dimensions_; }

  // --- The caller's side
  // ---------------------------------------------------------------------
  // Ends it within one batch.  Any thread, any number of times.
  void cancel() { stop_.cancel(); }
  // How many texts have been evaluated.
  std::size_t done() const { return done_.load(std::memory_order_relaxed); }
  // Tells of the end, and of nothing else.
  TokenChannel& channel() { return channel_; }
  // The vectors in the order of the texts; of use once it has ended well.
  std::span<const float> vectors() const { return vectors_; }

  // --- The engine's side
  // ---------------------------------------------------------------------
  const Tokens& text(std::size_t index) const { return spec_.texts[index]; }
  // Of the longest text that waits; 0: none does.
  std::size_t longest() const;
  std::size_t waiting() const { return waiting_.size(); }  // Texts.
  // Takes the longest text that waits, of those with at most `room` tokens.
  std::optional<std::size_t> take_longest(std::size_t room) noexcept;
  bool is_over() const { return is_over_; }
  bool is_complete() const { return done() == size(); }
  // Why nobody waits for the rest any more; nothing: somebody does.
  std::optional<FinishReason> stop_reason() const;
  // Throws EngineError where the vector holds what is no number.
  void put(std::size_t index, std::span<const float> vector);
  void begin(Clock::time_point now) noexcept;  // The first call counts.
  // Ends it, for whoever waits; the first call counts.
  void finish(FinishReason reason) noexcept { end(reason, nullptr); }
  void fail(const std::exception_ptr& error) noexcept { end(FinishReason::kStop, error); }

 private:
  void end(FinishReason reason, const std::exception_ptr& error) noexcept;

  const EmbeddingSpec spec_;
  const std::size_t dimensions_;
  const Clock::time_point submitted_ = Clock::now();
  StopSignal stop_;
  TokenChannel channel_;
  std::atomic<std::size_t> done_{0};
  std::vector<float> vectors_;  // The engine's until the end, then the caller's.

  // The engine's thread only.
  std::vector<std::uint32_t> waiting_;  // The texts that nobody took yet, the shortest first.
  std::optional<Clock::time_point> begun_;
  std::size_t tokens_ = 0;
  bool is_over_ = false;
};

}  // namespace llmlocal
