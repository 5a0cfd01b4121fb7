// What may come next in one answer: a constraint, such as a JSON schema, as tokens see it.
//
// The sampler asks for the legal tokens after bias and penalties and before anything is truncated,
// so that top-k and top-p count legal tokens only.  Used by the engine's thread only, which knows
// no Python: an implementation takes no lock of the interpreter's and throws nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/token.h"

namespace llmlocal {

// One bit for each token of the vocabulary, 32 to a word, the lowest first.
using TokenBits = std::span<std::uint32_t>;

class TokenMask {
 public:
  virtual ~TokenMask() = default;

  // Sets the bits of the tokens that may come next and clears all others; the ends of a text count
  // as tokens here.  False: the constraint is broken, and error() says why.
  virtual bool fill(TokenBits bits) noexcept = 0;
  // Whether everything may come next now: there is then nothing to fill or to apply.
  virtual bool is_open() const noexcept = 0;
  // The token was chosen.  False: it was not legal, or the constraint is broken.
  virtual bool accept(Token token) noexcept = 0;
  // Takes back the last `count` tokens that were accepted.
  virtual bool take_back(std::size_t count) noexcept = 0;
  // Whether the text may end here; and whether it can do nothing else, which ends an answer also
  // where the vocabulary has no token for it.
  virtual bool may_stop() const noexcept = 0;
  virtual bool must_stop() const noexcept = 0;

  virtual std::string error() const = 0;
};

}  // namespace llmlocal
