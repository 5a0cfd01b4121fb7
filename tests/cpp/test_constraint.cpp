#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/errors.h"
#include "property.h"
#include "sampling/constraint.h"
#include "scripted_mask.h"

namespace llmlocal::testing {
namespace {

constexpr float kNoChance = -std::numeric_limits<float>::infinity();

Constraint constraint_of(Legal legal, std::vector<Token> ends = {}) {
  return Constraint(std::make_shared<ScriptedMask>([legal](const Tokens&) { return legal; }), ends);
}

// The logits as they are for a sampler, which looks at the few tokens alone if there are any.
std::vector<float> applied(Constraint& constraint, std::vector<float> logits) {
  const std::vector<float> before = logits;
  const std::span<const Token> few = constraint.apply(logits);
  if (few.empty()) return logits;
  CHECK(logits == before);
  CHECK(std::ranges::is_sorted(few));
  std::vector<float> alone(logits.size(), kNoChance);
  for (const Token token : few) {
    const auto place = static_cast<std::size_t>(token);
    alone.at(place) = logits[place];
  }
  return alone;
}

TEST_CASE("constraint: of any vocabulary exactly the legal tokens keep their logits") {
  for_random_cases(300, [](Random& random) {
    const int vocab = random.between(1, 1000);
    const int percent = random.pick<int>({1, 50, 99});
    Legal legal;
    legal.may_stop = random.chance(50);
    std::vector<Token> ends;
    std::vector<float> logits;
    std::vector<float> expected;
    for (Token token = 0; token < vocab; ++token) {
      logits.push_back(static_cast<float>(random.between(-9, 9)));
      const bool is_end = random.chance(5);
      const bool is_legal = random.chance(percent);
      if (is_end) ends.push_back(token);
      if (is_legal) legal.tokens.push_back(token);
      expected.push_back((is_end ? legal.may_stop : is_legal) ? logits.back() : kNoChance);
    }
    Constraint constraint = constraint_of(legal, ends);
    for (Token token = 0; token < vocab; ++token) {
      const float each = expected[static_cast<std::size_t>(token)];
      CHECK(constraint.allows(token) == (each != kNoChance));
    }
    if (expected == std::vector<float>(expected.size(), kNoChance)) {
      CHECK_THROWS_AS(constraint.apply(logits), ConstraintError);
    } else {
      CHECK(applied(constraint, logits) == expected);
    }
  });
}

TEST_CASE("constraint: where all is legal, only the end of the text may not be") {
  const std::vector<float> before = {1, 2, 3, 4};
  for (const bool may_stop : {true, false}) {
    std::vector<float> logits = before;
    Constraint constraint =
        constraint_of({.tokens = {}, .is_open = true, .may_stop = may_stop}, {1, 3});
    constraint.apply(logits);
    CHECK(constraint.allows(0));
    CHECK(constraint.allows(1) == may_stop);
    CHECK(logits == (may_stop ? before : std::vector<float>{1, kNoChance, 3, kNoChance}));
  }
}

TEST_CASE("constraint: what is beyond the vocabulary is not legal") {
  std::vector<float> logits(33, 1);
  Constraint some = constraint_of({.tokens = {0, 33}});
  CHECK(std::ranges::equal(some.apply(logits), Tokens{0}));
  Constraint none = constraint_of({.tokens = {33}});
  CHECK_THROWS_AS(none.apply(logits), ConstraintError);
}

TEST_CASE("constraint: a broken mask is an error with its reason") {
  using Breaks = ScriptedMask::Breaks;
  const char* reason = "the constraint failed: as the script says";
  std::vector<float> logits = {1, 2};
  Constraint fills(mask_of({0}, Breaks::kFill), {});
  CHECK_THROWS_WITH_AS(fills.apply(logits), reason, ConstraintError);
  Constraint accepts(mask_of({0}, Breaks::kAccept), {});
  CHECK_THROWS_WITH_AS(accepts.accept(0), reason, ConstraintError);
  Constraint takes(mask_of({0}, Breaks::kTakeBack), {});
  takes.accept(0);
  CHECK_THROWS_WITH_AS(takes.take_back(1), reason, ConstraintError);
}

TEST_CASE("constraint: what was taken back may come again") {
  Constraint constraint(mask_of({0, 1}), {});
  constraint.accept(0);
  constraint.accept(1);
  CHECK(constraint.must_stop());
  constraint.take_back(2);
  CHECK_FALSE(constraint.must_stop());
  CHECK(applied(constraint, {1, 2}) == std::vector<float>{1, kNoChance});
}

}  // namespace
}  // namespace llmlocal::testing
