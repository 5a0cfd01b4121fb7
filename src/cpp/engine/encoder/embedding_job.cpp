#include "engine/encoder/embedding_job.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>

#include "base/errors.h"

namespace llmlocal {

void EmbeddingSpec::validate(Position window, std::int32_t vocab_size) const {
  if (timeout && !(timeout->count() > 0)) {
    throw ParameterError("timeout must be > 0 seconds, got " + std::to_string(timeout->count()));
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const Tokens& text = texts[i];
    if (text.empty()) throw ParameterError("text " + std::to_string(i) + " has no tokens");
    if (text.size() > static_cast<std::size_t>(window)) {
      throw ContextOverflowError("text " + std::to_string(i) + " has " +
                                     std::to_string(text.size()) +
                                     " tokens, but this model reads " + std::to_string(window),
                                 text.size(),
                                 static_cast<std::size_t>(window));
    }
    for (const Token token : text) {
      if (token < 0 || token >= vocab_size) {
        throw ParameterError("text " + std::to_string(i) + " holds token " + std::to_string(token) +
                             ", but the vocabulary has 0 to " + std::to_string(vocab_size - 1));
      }
    }
  }
}

EmbeddingJob::EmbeddingJob(EmbeddingSpec spec, std::size_t dimensions)
    : spec_(std::move(spec)),
      dimensions_(dimensions),
      stop_(spec_.timeout, submitted_),
      vectors_(spec_.texts.size() * dimensions),
      waiting_(spec_.texts.size()) {
  std::iota(waiting_.begin(), waiting_.end(), 0U);
  std::ranges::stable_sort(
      waiting_, {}, [this](std::uint32_t text) { return spec_.texts[text].size(); });
}

std::size_t EmbeddingJob::longest() const {
  return waiting_.empty() ? 0 : text(waiting_.back()).size();
}

std::optional<std::size_t> EmbeddingJob::take_longest(std::size_t room) noexcept {
  const auto length = [this](std::uint32_t index) { return text(index).size(); };
  const auto behind = std::ranges::upper_bound(waiting_, room, {}, length);
  if (behind == waiting_.begin()) return std::nullopt;
  const std::uint32_t taken = *(behind - 1);
  waiting_.erase(behind - 1);
  return taken;
}

std::optional<FinishReason> EmbeddingJob::stop_reason() const {
  if (stop_.is_cancelled()) return FinishReason::kCancelled;
  if (stop_.has_deadline() && stop_.is_late(Clock::now())) return FinishReason::kTimeout;
  return std::nullopt;
}

void EmbeddingJob::put(std::size_t index, std::span<const float> vector) {
  if (!std::ranges::all_of(vector, [](float each) { return std::isfinite(each); })) {
    throw EngineError("the model's output is not a number; is its file damaged?");
  }
  std::ranges::copy(vector, vectors_.begin() + static_cast<std::ptrdiff_t>(index * dimensions_));
  tokens_ += text(index).size();
  done_.fetch_add(1, std::memory_order_relaxed);
}

void EmbeddingJob::begin(Clock::time_point now) noexcept {
  if (!begun_) begun_ = now;
}

void EmbeddingJob::end(FinishReason reason, const std::exception_ptr& error) noexcept {
  if (std::exchange(is_over_, true)) return;
  const auto seconds = [this](Clock::time_point until) {
    return std::chrono::duration<double>(until - submitted_).count();
  };
  const Clock::time_point now = Clock::now();
  Outcome outcome;
  outcome.reason = reason;
  outcome.usage.prompt_tokens = static_cast<std::int32_t>(tokens_);
  outcome.timings.queue_s = seconds(begun_.value_or(now));
  outcome.timings.total_s = seconds(now);
  outcome.timings.prompt_s = outcome.timings.total_s - outcome.timings.queue_s;
  outcome.error = error;
  channel_.finish(std::move(outcome));
}

}  // namespace llmlocal
