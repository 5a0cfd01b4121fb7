#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/errors.h"
#include "property.h"
#include "sampling/logprobs.h"

namespace llmlocal::testing {
namespace {

constexpr float kNoChance = -std::numeric_limits<float>::infinity();

std::vector<float> some_logits(Random& random, int size, float spread) {
  std::vector<float> logits;
  for (int i = 0; i < size; ++i) {
    logits.push_back(spread * static_cast<float>(random.between(-100000, 100000)) / 100000);
  }
  return logits;
}

double slow_log_sum_exp(const std::vector<float>& logits) {
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - max);
  return max + std::log(sum);
}

TEST_CASE("logprobs: the sum is that of doubles, over any vocabulary") {
  for_random_cases(200, [](Random& random) {
    std::vector<float> logits =
        some_logits(random, random.between(1, 5000), random.pick<float>({0.01F, 3, 30, 500}));
    if (random.chance(50)) logits[0] = kNoChance;
    if (logits.size() == 1 && logits[0] == kNoChance) return;
    CHECK(std::abs(log_sum_exp(logits) - slow_log_sum_exp(logits)) < 5e-7);
  });
}

TEST_CASE("logprobs: what is no number, or has no chance, does not count") {
  constexpr float kNoNumber = std::numeric_limits<float>::quiet_NaN();
  for (const float nothing : {kNoNumber, -kNoNumber, kNoChance, -1e30F, -200.0F}) {
    CAPTURE(nothing);
    std::vector<float> logits(1000, nothing);  // More than are summed at once, and a rest.
    logits[3] = logits[990] = 5;
    CHECK(log_sum_exp(logits) == doctest::Approx(5 + std::log(2.0)).epsilon(1e-12));
  }
}

TEST_CASE("logprobs: of the chosen token and of the best, in their order") {
  for_random_cases(200, [](Random& random) {
    const std::vector<float> logits = some_logits(random, random.between(1, 300), 10);
    const auto token = static_cast<Token>(random.below(static_cast<int>(logits.size())));
    const auto count = static_cast<std::size_t>(random.below(21));
    const Logprobs logprobs = logprobs_of(logits, token, count);
    const double total = slow_log_sum_exp(logits);
    const auto expected = [&](Token each) {
      return doctest::Approx(logits[static_cast<std::size_t>(each)] - total).epsilon(1e-5);
    };
    CHECK(logprobs.chosen.token == token);
    CHECK(logprobs.chosen.logprob == expected(token));
    CHECK(logprobs.best.size() == std::min(count, logits.size()));
    std::vector<float> sorted = logits;
    std::ranges::sort(sorted, std::greater{});
    for (std::size_t i = 0; i < logprobs.best.size(); ++i) {
      CHECK(logits[static_cast<std::size_t>(logprobs.best[i].token)] == sorted[i]);
      CHECK(logprobs.best[i].logprob == expected(logprobs.best[i].token));
    }
    const auto best = std::ranges::max_element(logits) - logits.begin();
    CHECK(logprobs.is_best == (best == token));
  });
}

TEST_CASE("logprobs: a token without a chance has none, and numbers that are none are an error") {
  CHECK(logprobs_of(std::vector<float>{0, kNoChance}, 1, 0).chosen.logprob == kNoChance);
  CHECK(logprobs_of(std::vector<float>{0, kNoChance}, 0, 0).chosen.logprob == 0);
  CHECK_THROWS_AS(log_sum_exp(std::vector<float>{kNoChance, NAN}), EngineError);
  CHECK_THROWS_AS(log_sum_exp(std::vector<float>{0, -kNoChance}), EngineError);
}

}  // namespace
}  // namespace llmlocal::testing
