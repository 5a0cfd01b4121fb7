// Holds one answer to its TokenMask: leaves only legal tokens a chance.
//
// The sampler asks it after bias and penalties and before it truncates: of all tokens at once, or,
// where a few of the likeliest will do, one by one.  What is not legal has no chance and is not
// counted by any of the truncations: so the token that is chosen is an exact draw from what the
// sampler would do with the legal tokens alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/token.h"
#include "sampling/token_mask.h"

namespace llmlocal {

class Constraint {
 public:
  // `ends`: the tokens that end a text.
  Constraint(std::shared_ptr<TokenMask> mask, std::span<const Token> ends)
      : mask_(std::move(mask)), ends_(ends.begin(), ends.end()) {}

  // All of these throw ConstraintError where the mask is broken.
  // Gives all tokens that may not come next a logit of -infinity; or, where only few may come,
  // gives these, in order, and leaves the logits as they are.  Valid until the next call.
  std::span<const Token> apply(std::span<float> logits);
  // Whether the token may come next.
  bool allows(Token token);
  // To ask for so many tokens one by one takes no more time than apply(), by what that took when it
  // was needed lately.  It hangs on what may come next: of a name in a schema 10 us, of a text that
  // must match a pattern 400.
  std::size_t cheap_questions() const {
    return mask_->is_open() ? 0 : static_cast<std::size_t>(apply_s_ / kAskSeconds);
  }
  void accept(Token token);
  void take_back(std::size_t count);
  // The answer is complete, and can't go on.
  bool must_stop() const { return mask_->must_stop(); }

 private:
  static constexpr std::size_t kFew = 256;
  static constexpr double kAskSeconds = 1.5e-6;  // To pick one token more and ask, about.

  void fill(std::size_t vocab_size);
  void require(bool works) const;

  std::shared_ptr<TokenMask> mask_;
  std::vector<Token> ends_;
  std::vector<std::uint32_t> bits_;  // Reused from token to token; likewise the next.
  Tokens few_;
  double apply_s_ = 0;  // The last time, or half of what was expected then if that is more.
};

}  // namespace llmlocal
