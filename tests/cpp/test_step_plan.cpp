#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

#include "engine/steps/step_plan.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

RunState prompting(StreamId stream, const Tokens& prompt, Position evaluated = 0) {
  RunState run;
  run.stream = stream;
  run.prompt = prompt;
  run.evaluated = evaluated;
  return run;
}

RunState answering(StreamId stream, std::span<const Token> next, Position evaluated) {
  RunState run;
  run.stream = stream;
  run.evaluated = evaluated;
  run.decoding = true;
  run.next = next;
  return run;
}

constexpr std::size_t kAnyOutputs = 1000;

StepPlan plan_step(const std::vector<RunState>& runs, Position budget, std::size_t rows) {
  return llmlocal::plan_step(runs, {budget, rows, kAnyOutputs});
}

const Tokens k51 = {51};
const Tokens k52 = {52};

TEST_CASE("plan: answers come first, in the order of their streams") {
  const Tokens prompt = {1, 2, 3};
  const std::vector<RunState> runs = {
      prompting(0, prompt), answering(2, k52, 20), answering(1, k51, 10)};
  const StepPlan plan = plan_step(runs, 100, 100);
  CHECK(plan.batch.tokens == Tokens{51, 52, 1, 2, 3});
  CHECK(plan.batch.positions == std::vector<Position>{10, 20, 0, 1, 2});
  CHECK(plan.batch.streams == std::vector<StreamId>{1, 2, 0, 0, 0});
  CHECK(plan.answer_tokens == 2);
  CHECK(plan.prompt_tokens == 3);
}

TEST_CASE("plan: answers and the last token of a prompt ask for logits, and nothing else") {
  const Tokens prompt = {1, 2, 3};
  const std::vector<RunState> runs = {prompting(0, prompt, 1), answering(1, k51, 10)};
  const StepPlan plan = plan_step(runs, 100, 100);
  CHECK(plan.batch.wants_logits == std::vector<std::int8_t>{1, 0, 1});
  REQUIRE(plan.parts.size() == 2);
  CHECK(plan.parts[0].output_row(0) == 0);
  CHECK(plan.parts[1].output_row(0) == 2);
}

TEST_CASE("plan: a piece that does not end its prompt has no logits") {
  const Tokens prompt = {1, 2, 3};
  const std::vector<RunState> runs = {prompting(0, prompt)};
  const StepPlan plan = plan_step(runs, 2, 100);
  CHECK(plan.batch.tokens == Tokens{1, 2});
  CHECK(plan.batch.wants_logits == std::vector<std::int8_t>{0, 0});
  CHECK(plan.parts[0].outputs == 0);
}

Tokens counted(Position size) {
  Tokens tokens(static_cast<std::size_t>(size));
  std::iota(tokens.begin(), tokens.end(), 1);
  return tokens;
}

TEST_CASE("plan: prompts share the budget in the order of admission") {
  const Tokens prompt = counted(40);
  const std::vector<RunState> runs = {prompting(3, prompt, 36), prompting(0, prompt, 1)};
  const StepPlan plan = plan_step(runs, 20, 100);
  CHECK(plan.batch.size() == 20);
  CHECK(Tokens(plan.batch.tokens.begin(), plan.batch.tokens.begin() + 6) ==
        Tokens{37, 38, 39, 40, 2, 3});
  CHECK(plan.batch.streams[3] == 3);
  CHECK(plan.batch.streams[4] == 0);
}

TEST_CASE("plan: a second prompt is not begun for a few tokens, unless they are its last") {
  const Tokens prompt = counted(40);
  const std::vector<RunState> runs = {
      prompting(0, prompt, 10), prompting(1, prompt), prompting(2, prompt, 35)};
  const auto pieces = [&](Position budget) {
    std::vector<Position> lengths(runs.size());
    for (const RunPart& part : plan_step(runs, budget, 100).parts) {
      lengths[part.run] = static_cast<Position>(part.rows);
    }
    return lengths;
  };
  CHECK(pieces(9) == std::vector<Position>{9, 0, 0});  // The first is begun in any case.
  CHECK(pieces(33) == std::vector<Position>{30, 0, 0});
  CHECK(pieces(45) == std::vector<Position>{30, 0, 5});
  CHECK(pieces(24) == std::vector<Position>{30, 0, 0});  // A quarter more ends it.
  CHECK(pieces(23) == std::vector<Position>{23, 0, 0});
  CHECK(pieces(34) == std::vector<Position>{30, 0, 5});
  CHECK(pieces(46) == std::vector<Position>{30, 16, 0});
}

TEST_CASE("plan: the budget is for prompts only, the capacity for all") {
  const Tokens prompt = {1, 2, 3, 4};
  const std::vector<RunState> runs = {answering(0, k51, 9), prompting(1, prompt)};
  CHECK(plan_step(runs, 2, 100).batch.size() == 3);
  CHECK(plan_step(runs, 100, 3).batch.size() == 3);
}

TEST_CASE("plan: a piece ends where the prompt pauses, and goes on from there") {
  const Tokens prompt = {1, 2, 3, 4};
  std::vector<RunState> runs = {prompting(0, prompt)};
  runs[0].pause_at = 3;
  CHECK(plan_step(runs, 100, 100).batch.tokens == Tokens{1, 2, 3});
  runs[0].evaluated = 3;
  CHECK(plan_step(runs, 100, 100).batch.tokens == Tokens{4});
}

// Where the pieces of a prompt end that has the decoder for itself.
std::vector<Position> ends_of_pieces(Position start, std::size_t length, Position rows) {
  const Tokens prompt(length, 7);
  RunState run = prompting(0, prompt, start);
  std::vector<Position> ends;
  while (run.evaluated < static_cast<Position>(length)) {
    const StepPlan plan = plan_step({run}, rows, static_cast<std::size_t>(rows));
    REQUIRE(plan.prompt_tokens > 0);
    REQUIRE(plan.prompt_tokens <= rows);
    run.evaluated += plan.prompt_tokens;
    ends.push_back(run.evaluated);
  }
  return ends;
}

TEST_CASE("plan: the pieces of a long prompt end where llama.cpp would read more of the cache") {
  CHECK(ends_of_pieces(0, 600, 128) == std::vector<Position>{128, 256, 384, 512, 600});
  CHECK(ends_of_pieces(1, 700, 128) == std::vector<Position>{129, 256, 384, 512, 640, 700});
  CHECK(ends_of_pieces(127, 900, 128) ==
        std::vector<Position>{192, 256, 384, 512, 640, 768, 896, 900});
  CHECK(ends_of_pieces(300, 1500, 512) == std::vector<Position>{768, 1280, 1500});
}

TEST_CASE("plan: a short rest of a prompt goes in as few pieces as it can") {
  CHECK(ends_of_pieces(500, 700, 128) == std::vector<Position>{628, 700});
  CHECK(ends_of_pieces(250, 500, 512) == std::vector<Position>{500});
}

TEST_CASE("plan: beside answers a long prompt takes all of its budget") {
  const Tokens prompt(2000, 7);
  const std::vector<RunState> runs = {prompting(0, prompt, 200), answering(1, k51, 10)};
  CHECK(plan_step(runs, 100, 128).prompt_tokens == 100);
}

TEST_CASE("plan: drafts are evaluated with the token that they follow, all with logits") {
  const Tokens drafted = {51, 6, 7};
  const Tokens prompt = {1, 2};
  const std::vector<RunState> runs = {
      prompting(2, prompt), answering(1, k52, 9), answering(0, drafted, 4)};
  const StepPlan plan = plan_step(runs, 100, 100);
  CHECK(plan.batch.tokens == Tokens{51, 6, 7, 52, 1, 2});
  CHECK(plan.batch.positions == std::vector<Position>{4, 5, 6, 9, 0, 1});
  CHECK(plan.batch.wants_logits == std::vector<std::int8_t>{1, 1, 1, 1, 0, 1});
  CHECK(plan.answer_tokens == 4);
  CHECK(plan.parts[0].output_row(2) == 2);
  CHECK(plan.parts[1].first_row == 3);
}

TEST_CASE("plan: drafts take what is left of rows and outputs, one of each run is there for it") {
  const Tokens drafted = {51, 6, 7, 8};
  const Tokens prompt = {1, 2};
  const std::vector<RunState> runs = {
      answering(0, drafted, 4), answering(1, drafted, 4), prompting(2, prompt)};
  const auto rows = [&](const StepLimits& limits) {
    std::vector<std::size_t> found;
    for (const RunPart& part : llmlocal::plan_step(runs, limits).parts) found.push_back(part.rows);
    return found;
  };
  CHECK(rows({100, 100, 8}) == std::vector<std::size_t>{4, 3, 2});
  CHECK(rows({100, 100, 3}) == std::vector<std::size_t>{1, 1, 2});
  CHECK(rows({100, 5, 100}) == std::vector<std::size_t>{4, 1});
}

TEST_CASE("plan: of a prompt that is scored no more tokens are taken than may have logits") {
  const Tokens prompt = counted(40);
  std::vector<RunState> runs = {prompting(0, prompt), prompting(1, prompt)};
  runs[0].logits_from = 10;
  const StepPlan plan = llmlocal::plan_step(runs, {100, 100, 6});
  REQUIRE(plan.parts.size() == 2);
  CHECK(plan.parts[0].rows == 15);
  CHECK(plan.parts[0].outputs == 5);
  CHECK(plan.parts[0].output_row(0) == 10);
  CHECK(plan.parts[1].outputs == 1);
  runs[0].evaluated = 15;
  CHECK(llmlocal::plan_step(runs, {100, 100, 6}).parts[0].outputs == 5);
}

TEST_CASE("plan: nobody running, nothing to do") {
  CHECK(plan_step({}, 100, 100).batch.empty());
}

TEST_CASE(
    "plan: any requests, stepped to the end, are evaluated once, in order, within all limits") {
  for_random_cases(500, [](Random& random) {
    const FakeModel model;
    std::vector<Tokens> prompts;
    for (int count = random.between(1, 6); count > 0; --count) {
      prompts.push_back(random_tokens(random, model, 1, 30));
    }
    std::vector<RunState> runs;
    for (const Tokens& prompt : prompts) {
      const auto length = static_cast<Position>(prompt.size());
      runs.push_back(prompting(static_cast<StreamId>(runs.size()), prompt, random.below(length)));
      runs.back().pause_at = random.below(length + 1);
    }
    std::vector<Tokens> next(runs.size());
    const std::size_t capacity = runs.size() + static_cast<std::size_t>(random.below(10));
    for (int step = 0; step < 200; ++step) {
      const Position budget = random.between(1, 20);
      const StepPlan plan = plan_step(runs, budget, capacity);
      bool right = plan.batch.size() <= capacity && plan.prompt_tokens <= budget + budget / 4;
      right = right &&
              plan.prompt_tokens + plan.answer_tokens == static_cast<Position>(plan.batch.size());
      std::size_t row = 0;
      for (const RunPart& part : plan.parts) {
        RunState& run = runs[part.run];
        right = right && part.rows > 0 && part.first_row == row;
        for (std::size_t i = 0; i < part.rows; ++i, ++row) {
          const Token expected = run.decoding
                                     ? run.next[0]
                                     : run.prompt.tokens[static_cast<std::size_t>(run.evaluated)];
          right = right && plan.batch.streams[row] == run.stream &&
                  plan.batch.tokens[row] == expected && plan.batch.positions[row] == run.evaluated;
          ++run.evaluated;
        }
        run.decoding = run.evaluated >= static_cast<Position>(run.prompt.size());
        right = right && part.outputs == (run.decoding ? 1U : 0U) &&
                part.output_row(part.outputs) == row;
        next[part.run] = {random.below(30)};
        run.next = next[part.run];
      }
      REQUIRE((right && row == plan.batch.size()));
    }
    CHECK(std::ranges::all_of(runs, &RunState::decoding));
  });
}

}  // namespace
}  // namespace llmlocal::testing
