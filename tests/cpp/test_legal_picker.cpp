#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "property.h"
#include "sampling/candidates.h"
#include "sampling/constraint.h"
#include "sampling/legal_picker.h"
#include "sampling/token_mask.h"

namespace llmlocal::testing {
namespace {

constexpr float kNoChance = -std::numeric_limits<float>::infinity();

// Allows what it is told to; to find out all of it takes long, and questions are counted.
class DearMask : public TokenMask {
 public:
  std::vector<bool> legal;
  bool is_quick = false;
  bool is_all_open = false;
  std::size_t questions = 0;

  bool fill(TokenBits bits) noexcept override {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(is_quick ? 0 : 2);
    std::ranges::fill(bits, 0);
    for (std::size_t i = 0; i < legal.size(); ++i) {
      if (legal[i]) bits[i / 32] |= std::uint32_t{1} << i % 32;
    }
    while (std::chrono::steady_clock::now() < end) {
    }
    return true;
  }
  bool allows(Token token) noexcept override {
    ++questions;
    return is_all_open || legal[static_cast<std::size_t>(token)];
  }
  bool is_open() const noexcept override { return is_all_open; }
  bool accept(Token /*token*/) noexcept override { return true; }
  bool take_back(std::size_t /*count*/) noexcept override { return true; }
  bool may_stop() const noexcept override { return false; }
  bool must_stop() const noexcept override { return false; }
  std::string error() const override { return ""; }
};

// A vocabulary of which some tokens are legal, and what it takes to find out.
struct Case {
  std::shared_ptr<DearMask> mask = std::make_shared<DearMask>();
  Constraint constraint{mask, {}};
  LegalPicker picker;
  std::vector<float> logits;
  std::vector<float> legal_logits;  // Those of the others are -infinity.

  Case() {
    std::vector<float> any(1, 0);
    mask->legal = {true};
    constraint.apply(any);  // From now on it is known that this takes long.
  }

  void draw(Random& random) {
    logits.assign(static_cast<std::size_t>(random.between(1, 600)), 0);
    mask->legal.assign(logits.size(), false);
    const float scale = random.pick<float>({0.01F, 1, 5, 30});
    const int steps = random.pick<int>({20, 100'000});  // Many equal ones, or hardly any.
    const int percent = random.pick<int>({1, 10, 50, 99});
    const bool odd = random.chance(20);
    for (std::size_t i = 0; i < logits.size(); ++i) {
      logits[i] =
          scale * static_cast<float>(random.between(-steps, steps)) / static_cast<float>(steps);
      if (odd && random.chance(20)) logits[i] = kNoChance;
      mask->legal[i] = random.chance(percent);
    }
    legal_logits = logits;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      if (!mask->legal[i]) legal_logits[i] = kNoChance;
    }
    mask->questions = 0;
  }
};

bool are_equal(const std::vector<Candidate>& left, const std::vector<Candidate>& right) {
  return std::ranges::equal(left, right, [](const Candidate& a, const Candidate& b) {
    return a.token == b.token && a.logit == b.logit;
  });
}

TEST_CASE("legal picker: what top-p picks by asking is what it picks of the legal tokens") {
  Case it;
  int asked = 0;
  for_random_cases(3000, [&](Random& random) {
    it.draw(random);
    const float p = random.pick<float>({0.5F, 0.9F, 0.95F, 0.999F});
    const float min_p = random.pick<float>({0, 0.001F, 0.05F, 0.5F});
    const std::vector<float> before = it.logits;
    std::vector<Candidate> picked = {{7, 7}};
    const bool works = it.picker.pick_top_p(it.logits, p, min_p, it.constraint, picked);
    CHECK(it.logits == before);
    CHECK(it.mask->questions <= it.constraint.cheap_questions() + 64);
    if (!works) return;
    ++asked;
    std::vector<Candidate> expected;
    pick_top_p(it.legal_logits, p, min_p, expected);
    CHECK(are_equal(picked, expected));
  });
  CHECK(asked > 1500);
}

TEST_CASE("legal picker: what top-k picks by asking is what it picks of the legal tokens") {
  Case it;
  int asked = 0;
  for_random_cases(2000, [&](Random& random) {
    it.draw(random);
    const auto k = static_cast<std::size_t>(random.pick<int>({1, 5, 40}));
    std::vector<Candidate> picked = {{7, 7}};
    if (!it.picker.pick_top_k(it.logits, k, it.constraint, picked)) return;
    ++asked;
    std::vector<Candidate> expected;
    pick_top_k(it.legal_logits, k, expected);
    CHECK(are_equal(picked, expected));
  });
  CHECK(asked > 800);
}

TEST_CASE("legal picker: what min-p picks by asking is what it picks of the legal tokens") {
  Case it;
  int asked = 0;
  for_random_cases(2000, [&](Random& random) {
    it.draw(random);
    const float min_p = random.pick<float>({0.001F, 0.05F, 0.5F, 1});
    std::vector<Candidate> picked = {{7, 7}};
    if (!it.picker.pick_min_p(it.logits, min_p, it.constraint, picked)) return;
    ++asked;
    std::vector<Candidate> expected;
    pick_min_p(it.legal_logits, min_p, expected);
    CHECK(are_equal(picked, expected));
  });
  CHECK(asked > 1000);
}

// Of equal tokens all are needed, and all others are many.
TEST_CASE("legal picker: where it takes more questions than a mask is worth, there are few") {
  // So many that they are too many also where the mask was interrupted, and seems to take a second.
  constexpr std::size_t kSize = 1'000'000;
  Case it;
  it.mask->legal.assign(kSize, true);
  it.mask->legal[0] = false;
  std::vector<float> logits(kSize, 1.0F);
  std::vector<Candidate> picked;
  CHECK_FALSE(it.picker.pick_top_p(logits, 0.9F, 0.05F, it.constraint, picked));
  CHECK(it.mask->questions <= 4);
  CHECK_FALSE(it.picker.pick_top_k(logits, kSize / 2, it.constraint, picked));
  CHECK(it.mask->questions <= 4);
}

TEST_CASE("legal picker: where all may come, or a mask is quick, top-p asks nothing") {
  Case it;
  it.mask->legal.assign(50, true);
  std::vector<float> logits(50, 1.0F);
  std::vector<Candidate> picked;
  it.mask->is_all_open = true;
  CHECK_FALSE(it.picker.pick_top_p(logits, 0.9F, 0, it.constraint, picked));
  it.mask->is_all_open = false;
  it.mask->is_quick = true;
  while (it.constraint.cheap_questions() >= 64) it.constraint.apply(logits);
  CHECK_FALSE(it.picker.pick_top_p(logits, 0.9F, 0, it.constraint, picked));
  CHECK(it.mask->questions == 0);
}

}  // namespace
}  // namespace llmlocal::testing
