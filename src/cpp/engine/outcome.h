// How a request ended, and what it cost.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>

namespace llmlocal {

enum class FinishReason {
  kStop,       // An end-of-generation token or a stop string.
  kLength,     // max_tokens, or the context is full.
  kCancelled,  // cancel() was called.
  kTimeout,    // The time limit passed.
};

struct Usage {
  std::int32_t prompt_tokens = 0;
  std::int32_t cached_tokens = 0;  // Of the prompt: adopted from earlier work, not evaluated.
  std::int32_t completion_tokens = 0;
};

// Seconds; 0 for a stage that was not reached.
struct Timings {
  double queue_s = 0;        // From submission to the start of the prompt.
  double prompt_s = 0;       // From there to the first token.
  double first_token_s = 0;  // From submission to the first token.
  double per_token_s = 0;    // Mean time of a token after the first.
  double total_s = 0;        // From submission to the end.
};

struct Outcome {
  FinishReason reason = FinishReason::kStop;
  std::optional<std::string> stop_match;  // The stop string that ended it.
  Usage usage;
  Timings timings;
  std::exception_ptr error;  // Set where the request failed; the rest is then what came so far.
};

}  // namespace llmlocal
