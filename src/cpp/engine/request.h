// One request as its caller sees it: what is asked for, how to stop it, where its tokens arrive.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

#include "base/stop_strings.h"
#include "base/token.h"
#include "engine/stop_signal.h"
#include "engine/token_channel.h"
#include "sampling/chooser.h"
#include "sampling/drafter.h"
#include "sampling/logprobs.h"
#include "sampling/sampling_params.h"
#include "sampling/token_mask.h"

namespace llmlocal {

struct RequestSpec {
  static constexpr std::int32_t kUnlimited = std::numeric_limits<std::int32_t>::max();

  Tokens prompt;
  SamplingParams sampling;
  std::int32_t max_tokens = kUnlimited;  // >= 0; the context's end is a limit of its own.
  StopStrings stops;                     // None of them empty.
  std::optional<std::chrono::duration<double>> timeout;  // From submission; > 0.
  std::optional<std::int32_t> logprobs;  // 0 to 20: so many of the likeliest with each token.
  // Nothing is answered: how likely are the prompt's tokens from this one on?  > 0.
  std::optional<Position> score_from;
  bool tells_prompt_done = false;    // While it is evaluated, as it takes several steps.
  std::shared_ptr<Drafter> drafter;  // Of what the answer may go on with, if anything.
  std::shared_ptr<TokenMask> mask;  // What the answer is held to, if anything; of no other request.

  // Throws ParameterError for what is out of its range, ContextOverflowError for too long a prompt.
  void validate(Position context_length, std::int32_t vocab_size) const;
};

class Request {
 public:
  Request(RequestSpec spec, Chooser chooser)
      : spec_(std::move(spec)),
        chooser_(std::move(chooser)),
        submitted_(Clock::now()),
        stop_(spec_.timeout, submitted_) {}

  const RequestSpec& spec() const { return spec_; }
  Clock::time_point submitted() const { return submitted_; }
  TokenChannel& channel() { return channel_; }
  // For the run that this request gets.
  Chooser take_chooser() { return std::move(chooser_); }

  // Ends the request within one step.  Any thread, any number of times.
  void cancel() { stop_.cancel(); }
  bool is_cancelled() const { return stop_.is_cancelled(); }
  bool has_deadline() const { return stop_.has_deadline(); }
  bool is_late(Clock::time_point now) const { return stop_.is_late(now); }

 private:
  const RequestSpec spec_;
  Chooser chooser_;
  const Clock::time_point submitted_;
  StopSignal stop_;
  TokenChannel channel_;
};

}  // namespace llmlocal
