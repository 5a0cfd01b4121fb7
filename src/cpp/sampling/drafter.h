// Guesses what an answer will go on with, so that several of its tokens are evaluated in one step.
//
// A guess that is wrong costs the time of its evaluation, and never changes the answer.
#pragma once

#include <cstddef>
#include <span>

#include "base/token.h"

namespace llmlocal {

// Of one request.  Used by the engine's thread only.
class Drafter {
 public:
  virtual ~Drafter() = default;

  // Writes tokens that may follow prompt and answer, and returns how many; none is fine.
  virtual std::size_t draft(std::span<const Token> prompt,
                            std::span<const Token> answer,
                            std::span<Token> drafts) = 0;
};

}  // namespace llmlocal
