// Chooses the tokens of one answer: a sampler, and what the answer is held to, if anything.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/token.h"
#include "sampling/constraint.h"
#include "sampling/sampler.h"

namespace llmlocal {

class Chooser {
 public:
  explicit Chooser(std::unique_ptr<Sampler> sampler, std::optional<Constraint> constraint = {})
      : sampler_(std::move(sampler)), constraint_(std::move(constraint)) {}

  // The next token, by the logits of the whole vocabulary; may overwrite them.  Nothing but random
  // numbers is used up until the token is accepted.  Throws EngineError or ConstraintError.
  Token choose(std::span<float> logits) {
    return sampler_->choose(logits, constraint_ ? &*constraint_ : nullptr);
  }
  // A token that does not end the text.
  void accept(Token token) {
    sampler_->accept(token);
    if (constraint_) constraint_->accept(token);
  }
  // The last `count` tokens that were accepted.
  void take_back(std::size_t count) {
    sampler_->take_back(count);
    if (constraint_) constraint_->take_back(count);
  }
  // The answer is complete, and can't go on.
  bool must_stop() const { return constraint_ && constraint_->must_stop(); }

 private:
  std::unique_ptr<Sampler> sampler_;
  std::optional<Constraint> constraint_;
};

}  // namespace llmlocal
