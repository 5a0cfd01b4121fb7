// What may come next in one answer: a constraint, such as a JSON schema, as tokens see it.
//
// Tokens that are not legal lose their chance before anything is truncated, so that top-k and top-p
// count legal tokens only.  Used by one thread at a time, of the engine's, which know no Python: an
// implementation takes no lock of the interpreter's and throws nothing.
//
// Whether the text may end is said by may_stop() alone.  An implementation never sees a token that
// ends a text: the caller sets or clears their bits, and does not accept them.
#pragma once

#include <atomic>
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
  TokenMask() = default;
  virtual ~TokenMask() = default;
  TokenMask(const TokenMask&) = delete;
  TokenMask& operator=(const TokenMask&) = delete;

  // A mask follows one answer: whoever gets true here first has it for good.  Any thread.
  bool claim() noexcept { return !claimed_.exchange(true); }

  // Sets the bits of the tokens that may come next and clears all others; those of ends don't
  // matter.  False: the constraint is broken, and error() says why.
  virtual bool fill(TokenBits bits) noexcept = 0;
  // Whether this token, which is no end, may come next: what its bit would say, without the others.
  // False where the constraint is broken.
  virtual bool allows(Token token) noexcept = 0;
  // Whether every token that is no end may come next: there is then nothing to fill or to apply.
  virtual bool is_open() const noexcept = 0;
  // The token was chosen.  False: it was not legal, or the constraint is broken.
  virtual bool accept(Token token) noexcept = 0;
  // Takes back the last `count` tokens that were accepted.  False: the constraint is broken.
  virtual bool take_back(std::size_t count) noexcept = 0;
  // Whether the text may end here; and whether it can do nothing else, which ends an answer also
  // where the vocabulary has no token for it.
  virtual bool may_stop() const noexcept = 0;
  virtual bool must_stop() const noexcept = 0;

  // Why the last call failed.
  virtual std::string error() const = 0;

 private:
  std::atomic<bool> claimed_{false};
};

}  // namespace llmlocal
