#include "engine/request.h"

#include <cstddef>
#include <string>

#include "base/errors.h"

namespace llmlocal {

void RequestSpec::validate(Position context_length, std::int32_t vocab_size) const {
  sampling.validate(vocab_size);
  if (prompt.empty()) throw ParameterError("prompt must hold at least one token, got none");
  if (max_tokens < 0) {
    throw ParameterError("max_tokens must be >= 0, got " + std::to_string(max_tokens));
  }
  if (timeout && !(timeout->count() > 0)) {
    throw ParameterError("timeout must be > 0 seconds, got " + std::to_string(timeout->count()));
  }
  if (logprobs && (*logprobs < 0 || *logprobs > kMostLogprobs)) {
    throw ParameterError("logprobs must be 0 to " + std::to_string(kMostLogprobs) + ", got " +
                         std::to_string(*logprobs));
  }
  if (score_from && (*score_from < 1 || static_cast<std::size_t>(*score_from) >= prompt.size())) {
    throw ParameterError("there is nothing to score: of " + std::to_string(prompt.size()) +
                         " tokens, those from number " + std::to_string(*score_from));
  }
  for (const std::string& stop : stops.strings()) {
    if (stop.empty()) throw ParameterError("stop must not hold an empty string");
  }
  for (const Token token : prompt) {
    if (token < 0 || token >= vocab_size) {
      throw ParameterError("prompt holds token " + std::to_string(token) +
                           ", but the vocabulary has 0 to " + std::to_string(vocab_size - 1));
    }
  }
  if (prompt.size() > static_cast<std::size_t>(context_length)) {
    throw ContextOverflowError("the prompt has " + std::to_string(prompt.size()) +
                                   " tokens, but the context holds " +
                                   std::to_string(context_length) +
                                   "; load the model with a larger n_ctx or shorten the prompt",
                               prompt.size(),
                               static_cast<std::size_t>(context_length));
  }
}

}  // namespace llmlocal
