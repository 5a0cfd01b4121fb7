#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "property.h"
#include "sampling/penalty_window.h"

namespace llmlocal::testing {
namespace {

// As llama.cpp defines them, for each token of the vocabulary.
std::vector<float> slow_penalties(const SamplingParams& params,
                                  const std::vector<Token>& seen,
                                  std::vector<float> logits) {
  const auto length = std::min(seen.size(), static_cast<std::size_t>(params.repeat_last_n));
  for (std::size_t token = 0; token < logits.size(); ++token) {
    const auto count = std::count(
        seen.end() - static_cast<std::ptrdiff_t>(length), seen.end(), static_cast<Token>(token));
    if (count == 0) continue;
    float& logit = logits[token];
    logit = logit <= 0 ? logit * params.repeat_penalty : logit / params.repeat_penalty;
    logit -= static_cast<float>(count) * params.frequency_penalty + params.presence_penalty;
  }
  return logits;
}

TEST_CASE("penalties: any window over any tokens penalises what llama.cpp's definition does") {
  for_random_cases(500, [](Random& random) {
    SamplingParams params;
    params.repeat_last_n = random.below(12);
    params.repeat_penalty = random.pick<float>({1, 1.1F, 2, 0.5F});
    params.frequency_penalty = random.pick<float>({0, 0.3F, -0.3F});
    params.presence_penalty = random.pick<float>({0, 0.7F, -0.7F});
    std::vector<Token> seen;
    for (int i = random.below(20); i > 0; --i) seen.push_back(random.below(8));
    const std::size_t prompt = seen.size();
    PenaltyWindow window(params, seen);
    for (int step = 0; step < 40; ++step) {
      if (random.chance(20)) {
        const auto count =
            static_cast<std::size_t>(random.between(0, static_cast<int>(seen.size() - prompt)));
        window.take_back(count);
        seen.resize(seen.size() - count);
      }
      std::vector<float> logits;
      for (int i = 0; i < 8; ++i) logits.push_back(static_cast<float>(random.between(-20, 20)) / 4);
      const std::vector<float> expected = slow_penalties(params, seen, logits);
      window.apply(logits);
      REQUIRE(logits == expected);
      seen.push_back(random.below(8));
      window.accept(seen.back());
    }
  });
}

TEST_CASE("penalties: a penalty makes a token less likely whatever the sign of its logit") {
  SamplingParams params;
  params.repeat_penalty = 2;
  PenaltyWindow window(params, {});
  window.accept(0);
  window.accept(1);
  std::vector<float> logits = {4, -4, 4};
  window.apply(logits);
  CHECK(logits == std::vector<float>{2, -8, 4});
}

}  // namespace
}  // namespace llmlocal::testing
