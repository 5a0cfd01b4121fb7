// Picks the few tokens that can still be chosen straight from the raw logits, without building
// and sorting an array of the whole vocabulary.
//
// A logit that is not a number is never picked.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/token.h"

namespace llmlocal {

struct Candidate {
  Token token = 0;
  float logit = 0;
};

// The token with the largest logit, the first one of equals; -1 if no logit is above -infinity.
Token best_token(std::span<const float> logits);

// The `k` largest logits, in descending order.
void pick_top_k(std::span<const float> logits, std::size_t k, std::vector<Candidate>& picked);

// The smallest set of tokens whose probabilities sum to `p` or more, in descending order; without
// those that are clearly less likely than `min_p` times the best one.
void pick_top_p(std::span<const float> logits,
                float p,
                float min_p,
                std::vector<Candidate>& picked);

}  // namespace llmlocal
