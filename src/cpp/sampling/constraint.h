// Holds one answer to its TokenMask: leaves only legal tokens a chance.
//
// Works on the logits before the sampler sees them.  What has no chance is not counted by any of
// the truncations, and neither bias nor penalties can give it one: so the token that is chosen is
// an exact draw from what the sampler would do with the legal tokens alone.
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
  // Gives all tokens that may not come next a logit of -infinity.
  void apply(std::span<float> logits);
  void accept(Token token);
  void take_back(std::size_t count);
  // The answer is complete, and can't go on.
  bool must_stop() const { return mask_->must_stop(); }

 private:
  void require(bool works) const;

  std::shared_ptr<TokenMask> mask_;
  std::vector<Token> ends_;
  std::vector<std::uint32_t> bits_;  // Reused from token to token.
};

}  // namespace llmlocal
