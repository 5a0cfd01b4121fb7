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

// In descending order.  The first of equal logits comes first, which makes every result the same on
// every machine.
bool comes_before(const Candidate& a, const Candidate& b);

// The token with the largest logit, the first one of equals; -1 if no logit is above -infinity.
Token best_token(std::span<const float> logits);

// The `k` largest logits, in descending order.
void pick_top_k(std::span<const float> logits, std::size_t k, std::vector<Candidate>& picked);

// Those with larger logits than this, in the order of their tokens.  False, and `picked` is
// anything: there are more than `most`.
bool pick_above(std::span<const float> logits,
                float threshold,
                std::size_t most,
                std::vector<Candidate>& picked);

// So much below the largest logit all are clearly less likely than `min_p` times the best one.
float reach_of_min_p(float min_p);

// Those in min-p's reach, in the order of their tokens.
void pick_min_p(std::span<const float> logits, float min_p, std::vector<Candidate>& picked);

// The smallest set of tokens whose probabilities sum to `p` or more, in descending order; without
// those that are out of min-p's reach.
void pick_top_p(std::span<const float> logits,
                float p,
                float min_p,
                std::vector<Candidate>& picked);

}  // namespace llmlocal
