#include <doctest/doctest.h>

#include <algorithm>

#include "engine/steps/step_pacer.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

// A machine on which a step with answers takes so long, and each prompt token so much longer.
struct Machine {
  double answer_step_s = 0.010;
  double prompt_token_s = 0.002;
  double step(Position prompt_tokens) const {
    return answer_step_s + prompt_token_s * prompt_tokens;
  }
};

double allowed(const Machine& machine) {
  return std::max(0.150, 4 * machine.answer_step_s);
}

void watch(StepPacer& pacer, const Machine& machine, int steps) {
  for (int i = 0; i < steps; ++i) {
    pacer.observe(1, 0, machine.step(0));
    const Position budget = pacer.prompt_budget(0);
    pacer.observe(1, budget, machine.step(budget));
  }
}

TEST_CASE("pacer: before anything is known a piece is small") {
  CHECK(StepPacer().prompt_budget(0) == 2 * StepPacer::kMinPiece);
}

TEST_CASE("pacer: on any machine steps come to fill half of what is allowed, and never exceed it") {
  for_random_cases(300, [](Random& random) {
    const Machine machine{random.between(1, 200) / 1000.0, random.between(1, 2000) / 1e6};
    StepPacer pacer;
    watch(pacer, machine, 40);
    const double step = machine.step(pacer.prompt_budget(0));
    CHECK(step <= allowed(machine));
    CHECK(step >= 0.5 * allowed(machine));
  });
}

TEST_CASE("pacer: a machine that is too slow for the bound still gets on by small pieces") {
  StepPacer pacer;
  watch(pacer, {0.010, 0.100}, 20);
  CHECK(pacer.prompt_budget(0) == StepPacer::kMinPiece);
}

TEST_CASE(
    "pacer: when prompts get slower the next step is already shorter, and soon within bounds") {
  StepPacer pacer;
  watch(pacer, {0.010, 0.001}, 20);
  const Machine slowed{0.010, 0.004};
  const Position before = pacer.prompt_budget(0);
  pacer.observe(1, before, slowed.step(before));
  CHECK(pacer.prompt_budget(0) < before / 2);
  watch(pacer, slowed, 5);
  CHECK(slowed.step(pacer.prompt_budget(0)) <= allowed(slowed));
}

TEST_CASE("pacer: one stalled step does not make prompts slow for long") {
  const Machine machine;
  StepPacer pacer;
  watch(pacer, machine, 20);
  const Position usual = pacer.prompt_budget(0);
  pacer.observe(1, usual, 30.0);
  CHECK(pacer.prompt_budget(0) == StepPacer::kMinPiece);
  watch(pacer, machine, 60);
  CHECK(pacer.prompt_budget(0) >= usual * 9 / 10);
}

TEST_CASE("pacer: the end of a prompt says nothing about the price of a piece") {
  StepPacer pacer;
  watch(pacer, Machine(), 20);
  const Position usual = pacer.prompt_budget(0);
  pacer.observe(1, StepPacer::kMinPiece - 1, 5.0);
  CHECK(pacer.prompt_budget(0) == usual);
}

TEST_CASE("pacer: prompts that run alone teach the price too") {
  StepPacer pacer;
  for (int i = 0; i < 20; ++i) pacer.observe(0, 500, 1.0);
  CHECK(pacer.prompt_budget(0) == static_cast<Position>(0.8 * 0.150 / 0.002));
}

TEST_CASE("pacer: what was spent before the step is not spent again, and may leave nothing") {
  const Machine machine;
  StepPacer pacer;
  watch(pacer, machine, 20);
  const Position usual = pacer.prompt_budget(0);
  CHECK(pacer.prompt_budget(0.050) == usual - 25);
  CHECK(pacer.prompt_budget(0.105) == StepPacer::kMinPiece);
  CHECK(pacer.prompt_budget(0.150) == 0);
  CHECK(StepPacer().prompt_budget(0.150) == 0);
}

TEST_CASE("pacer: a decoder that takes no time is given all") {
  StepPacer pacer;
  pacer.observe(1, 0, 0.0);
  pacer.observe(1, 100, 1e-12);
  CHECK(pacer.prompt_budget(0) >= 10000);
}

}  // namespace
}  // namespace llmlocal::testing
