// How the engine asks for the next token of a request.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "base/token.h"
#include "sampling/constraint.h"
#include "sampling/sampling_params.h"

namespace llmlocal {

// Chooses the tokens of one request.  A choice counts as seen, by penalties and DRY, only once it
// is accepted; what was accepted can be taken back.
class Sampler {
 public:
  virtual ~Sampler() = default;

  // The next token, by the logits of the whole vocabulary; may overwrite them.  A logit of
  // -infinity is never chosen, nor is a token that the constraint, if there is one, does not allow:
  // such tokens are not counted by any of the truncations.  Throws EngineError if there is nothing
  // to choose from, or ConstraintError.
  virtual Token choose(std::span<float> logits, Constraint* constraint) = 0;
  virtual void accept(Token token) = 0;
  // The last `count` tokens that were accepted; never one of the prompt.  Random numbers that are
  // used up, and what Mirostat has learnt, stay so.
  virtual void take_back(std::size_t count) = 0;
};

// Makes the samplers of one model's requests, in the threads of their callers: all of it may be
// called from several threads at once.
class SamplerFactory {
 public:
  virtual ~SamplerFactory() = default;

  // For a text that begins with `prompt`.
  virtual std::unique_ptr<Sampler> make(const SamplingParams& params,
                                        std::span<const Token> prompt) = 0;
};

}  // namespace llmlocal
