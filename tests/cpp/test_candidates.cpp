#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "property.h"
#include "sampling/candidates.h"

namespace llmlocal::testing {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Sharp or flat, some banned, some equal, some not a number.
std::vector<float> random_logits(Random& random) {
  std::vector<float> logits(static_cast<std::size_t>(random.between(1, 200)));
  const float scale = random.pick<float>({0.01F, 1, 5, 30});
  const bool odd = random.chance(30);
  for (float& logit : logits) {
    logit = scale * static_cast<float>(random.between(-1000, 1000)) / 1000.0F;
    if (odd && random.chance(20)) logit = random.pick<float>({-kInf, kNaN, 1.0F});
  }
  return logits;
}

// All that may be picked, the best first, the first of equals first.
std::vector<Candidate> all_sorted(std::span<const float> logits) {
  std::vector<Candidate> all;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] > -kInf) all.push_back({static_cast<Token>(i), logits[i]});
  }
  std::ranges::stable_sort(all, std::ranges::greater(), &Candidate::logit);
  return all;
}

bool begins_with(const std::vector<Candidate>& all, const std::vector<Candidate>& picked) {
  return picked.size() <= all.size() &&
         std::equal(picked.begin(), picked.end(), all.begin(), [](const auto& a, const auto& b) {
           return a.token == b.token && a.logit == b.logit;
         });
}

double sum_of(std::span<const Candidate> candidates, float max) {
  double sum = 0;
  for (const Candidate& each : candidates) sum += std::exp(static_cast<double>(each.logit) - max);
  return sum;
}

TEST_CASE("candidates: the best is the first of the largest") {
  CHECK(best_token(std::vector<float>{1, 3, 2, 3}) == 1);
  CHECK(best_token(std::vector<float>{kNaN, -5, kNaN}) == 1);
  CHECK(best_token(std::vector<float>{-kInf, kNaN}) == -1);
  CHECK(best_token({}) == -1);
}

TEST_CASE("candidates: the best of any logits heads the sorted list") {
  for_random_cases(1000, [](Random& random) {
    const std::vector<float> logits = random_logits(random);
    const std::vector<Candidate> all = all_sorted(logits);
    CHECK(best_token(logits) == (all.empty() ? -1 : all[0].token));
  });
}

TEST_CASE("candidates: top-k picks the first k of the sorted list") {
  for_random_cases(1000, [](Random& random) {
    const std::vector<float> logits = random_logits(random);
    const auto k = static_cast<std::size_t>(random.between(1, 60));
    std::vector<Candidate> picked = {{7, 7}};  // Of the token before.
    pick_top_k(logits, k, picked);
    const std::vector<Candidate> all = all_sorted(logits);
    CHECK(begins_with(all, picked));
    CHECK(picked.size() == std::min(k, all.size()));
  });
}

TEST_CASE("candidates: top-p picks as many of the sorted list as reach the sum, and none more") {
  for_random_cases(2000, [](Random& random) {
    const std::vector<float> logits = random_logits(random);
    const float p = static_cast<float>(random.between(1, 1000)) / 1000.0F;
    std::vector<Candidate> picked = {{7, 7}};
    pick_top_p(logits, p, 0, picked);
    const std::vector<Candidate> all = all_sorted(logits);
    REQUIRE(begins_with(all, picked));
    REQUIRE(picked.empty() == all.empty());
    if (all.empty()) return;
    // Sums of floats in another order differ in their last digits.
    constexpr double kSlack = 1e-5;
    const double total = sum_of(all, all[0].logit);
    const double sum = sum_of(picked, all[0].logit);
    const double without_last = sum_of(std::span(picked).first(picked.size() - 1), all[0].logit);
    CHECK((picked.size() == all.size() || sum >= (p - kSlack) * total));
    CHECK((picked.size() == 1 || without_last <= (p + kSlack) * total));
  });
}

TEST_CASE("candidates: with min-p, top-p leaves out only what min-p drops anyway") {
  for_random_cases(2000, [](Random& random) {
    const std::vector<float> logits = random_logits(random);
    const float p = static_cast<float>(random.between(1, 1000)) / 1000.0F;
    const float min_p = random.pick<float>({0.001F, 0.05F, 0.5F, 1});
    std::vector<Candidate> both;
    pick_top_p(logits, p, min_p, both);
    std::vector<Candidate> picked;
    pick_top_p(logits, p, 0, picked);
    const auto survives = [&](const Candidate& each) {
      return each.logit >= picked[0].logit + std::log(min_p);
    };
    const auto survivors = std::ranges::count_if(picked, survives);
    REQUIRE(begins_with(picked, both));
    CHECK(std::ranges::count_if(both, survives) == survivors);
  });
}

TEST_CASE("candidates: min-p picks all in its reach, in the order of their tokens") {
  for_random_cases(1000, [](Random& random) {
    const std::vector<float> logits = random_logits(random);
    const float min_p = random.pick<float>({0.001F, 0.05F, 0.5F, 1});
    std::vector<Candidate> picked = {{7, 7}};
    pick_min_p(logits, min_p, picked);
    CHECK(std::ranges::is_sorted(picked, std::ranges::less(), &Candidate::token));
    std::ranges::sort(picked, comes_before);
    const std::vector<Candidate> all = all_sorted(logits);
    REQUIRE(begins_with(all, picked));
    if (all.empty()) return;
    const float cut = all[0].logit + std::log(min_p);
    CHECK(std::ranges::count_if(picked, [&](const Candidate& each) { return each.logit >= cut; }) ==
          std::ranges::count_if(all, [&](const Candidate& each) { return each.logit >= cut; }));
    CHECK(picked.back().logit > cut - 0.1F);
  });
}

TEST_CASE("candidates: a large vocabulary is no different") {
  Random random(1);
  std::vector<float> logits;
  for (int i = 0; i < 50'001; ++i)
    logits.push_back(static_cast<float>(random.below(1 << 20)) / 4e4F);
  const std::vector<Candidate> all = all_sorted(logits);
  std::vector<Candidate> picked;
  pick_top_k(logits, 40, picked);
  CHECK(picked.size() == 40);
  CHECK(begins_with(all, picked));
  pick_top_p(logits, 0.95F, 0.05F, picked);
  CHECK(begins_with(all, picked));
}

}  // namespace
}  // namespace llmlocal::testing
