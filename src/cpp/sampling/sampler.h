// How the engine asks for the next token of a request.
#pragma once

#include <span>

#include "base/token.h"

namespace llmlocal {

// Chooses the tokens of one request.
class Sampler {
 public:
  virtual ~Sampler() = default;

  // The next token, by the logits of the whole vocabulary; may overwrite them. The choice counts as
  // seen by the penalties.  Throws EngineError if a logit is not a number.
  virtual Token sample(std::span<float> logits) = 0;
};

}  // namespace llmlocal
