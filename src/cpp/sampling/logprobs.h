// How likely a model found a token: the logarithm of its probability by the logits as they are,
// before bias, penalties, masks and temperature.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/token.h"

namespace llmlocal {

struct TokenLogprob {
  Token token = 0;
  float logprob = 0;
};

struct Logprobs {
  TokenLogprob chosen;
  bool is_best = false;            // No other token is likelier: greedy would have chosen it.
  std::vector<TokenLogprob> best;  // The likeliest of all, in descending order.
};

inline constexpr int kMostLogprobs = 20;

// The logarithm of the sum of the logits' exponentials; those that are no numbers don't count.
// Throws EngineError where the largest is not finite.
double log_sum_exp(std::span<const float> logits);

// Of `token`, with the `count` best.
Logprobs logprobs_of(std::span<const float> logits, Token token, std::size_t count);

}  // namespace llmlocal
