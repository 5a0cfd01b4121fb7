#include "sampling/logprobs.h"

#include <cmath>

#include "base/errors.h"
#include "sampling/candidates.h"
#include "sampling/exponentials.h"

namespace llmlocal {
namespace {

// `best`: the token with the largest logit, or -1.
double log_sum_exp(std::span<const float> logits, Token best) {
  const float max = best < 0 ? -INFINITY : logits[static_cast<std::size_t>(best)];
  if (!std::isfinite(max)) throw EngineError("the model's output gives no probabilities");
  return static_cast<double>(max) + std::log(sum_of_exp(logits, max));
}

}  // namespace

double log_sum_exp(std::span<const float> logits) {
  return log_sum_exp(logits, best_token(logits));
}

Logprobs logprobs_of(std::span<const float> logits, Token token, std::size_t count) {
  const Token best = best_token(logits);
  const double total = log_sum_exp(logits, best);
  const auto of = [&](Token each) {
    const float logit = logits[static_cast<std::size_t>(each)];
    return TokenLogprob{each, static_cast<float>(static_cast<double>(logit) - total)};
  };
  Logprobs logprobs{of(token), best == token, {}};
  std::vector<Candidate> likeliest;
  if (count > 0) pick_top_k(logits, count, likeliest);
  logprobs.best.reserve(likeliest.size());
  for (const Candidate& each : likeliest) logprobs.best.push_back(of(each.token));
  return logprobs;
}

}  // namespace llmlocal
