// How likely answers and given texts are.
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

// The fake decoder's best token, and any other one of its 32.
const double kBest = 2 - std::log(std::exp(2) + 31);
const double kOther = kBest - 2;

struct Scores {
  Tokens tokens;
  std::vector<double> logprobs;
  std::vector<std::size_t> alternatives;
  std::vector<bool> are_best;
  Outcome outcome;
};

Scores scores_of(Request& request) {
  Scores scores;
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < deadline) {
    const TokenChannel::Read read =
        request.channel().read(std::chrono::seconds(1), TokenChannel::Until::kNews);
    for (const TokenEvent& event : read.events) {
      REQUIRE(event.logprobs);
      scores.tokens.push_back(event.token);
      CHECK(event.logprobs->chosen.token == event.token);
      scores.logprobs.push_back(static_cast<double>(event.logprobs->chosen.logprob));
      scores.alternatives.push_back(event.logprobs->best.size());
      scores.are_best.push_back(event.logprobs->is_best);
    }
    if (!read.outcome) continue;
    scores.outcome = *read.outcome;
    return scores;
  }
  FAIL("the request did not end");
  return scores;
}

RequestSpec scored(Tokens text, Position from) {
  RequestSpec spec = spec_of(std::move(text));
  spec.score_from = from;
  return spec;
}

void check_scores(const FakeModel& model, const Tokens& text, Position from, Request& request) {
  const Scores scores = scores_of(request);
  CHECK(error_of(scores.outcome) == "");
  CHECK(scores.outcome.reason == FinishReason::kStop);
  CHECK(scores.outcome.usage.prompt_tokens == static_cast<std::int32_t>(text.size()));
  CHECK(scores.outcome.usage.completion_tokens == 0);
  REQUIRE(scores.tokens.size() == text.size() - static_cast<std::size_t>(from));
  for (std::size_t i = 0; i < scores.tokens.size(); ++i) {
    const std::size_t index = static_cast<std::size_t>(from) + i;
    const bool is_best = model.next(std::span(text).first(index)) == text[index];
    CHECK(scores.tokens[i] == text[index]);
    CHECK(scores.are_best[i] == is_best);
    CHECK(scores.logprobs[i] == doctest::Approx(is_best ? kBest : kOther));
  }
}

TEST_CASE("logprobs: an answer's tokens come with as many alternatives as are asked for") {
  for (const std::int32_t count : {0, 3, 20}) {
    EngineFixture fixture;
    RequestSpec spec = spec_of(some_tokens(5), 6);
    spec.logprobs = count;
    const Tokens expected = fixture.reference(spec).tokens;
    const Scores scores = scores_of(*fixture.submit(std::move(spec)));
    CHECK(scores.tokens == expected);
    CHECK(scores.alternatives == std::vector<std::size_t>(6, static_cast<std::size_t>(count)));
    for (const double logprob : scores.logprobs) CHECK(logprob == doctest::Approx(kBest));
  }
}

TEST_CASE("logprobs: without being asked for there are none") {
  EngineFixture fixture;
  const auto request = fixture.submit(spec_of(some_tokens(5), 3));
  const auto read = request->channel().read(kPatience, TokenChannel::Until::kEnd);
  REQUIRE(read.events.size() == 3);
  for (const TokenEvent& event : read.events) CHECK_FALSE(event.logprobs);
}

TEST_CASE("logprobs: a number out of range is refused") {
  EngineFixture fixture;
  for (const std::int32_t count : {-1, 21}) {
    RequestSpec spec = spec_of(some_tokens(5));
    spec.logprobs = count;
    CHECK_THROWS_AS(fixture.submit(std::move(spec)), ParameterError);
  }
  for (const Position from : {0, 5}) {
    CHECK_THROWS_AS(fixture.submit(scored(some_tokens(5), from)), ParameterError);
  }
}

TEST_CASE("scores: any texts, together, beside answers, from any place on") {
  for_random_cases(60, [](Random& random) {
    FakeOptions fake;
    fake.memory = random.pick(kAllKinds);
    fake.batch_capacity = static_cast<std::size_t>(random.pick<int>({4, 9, 32}));
    fake.outputs = static_cast<std::size_t>(random.pick<int>({4, 8, 20}));
    fake.context_length = 100;
    fake.room = random.pick<Position>({20, 100});
    EngineFixture fixture(
        std::move(fake),
        {.max_streams = 4, .kv_bytes = 3 * kStreamBytes, .store_bytes = 1U << 20U});
    const Tokens shared = some_tokens(static_cast<std::size_t>(random.between(1, 60)), 100);
    std::vector<RequestSpec> specs;
    for (int i = random.between(1, 8); i > 0; --i) {
      Tokens text = shared + some_tokens(static_cast<std::size_t>(random.between(1, 30)), i);
      // Some of it is what the model would say.
      for (std::size_t j = 1; j < text.size(); ++j) {
        if (random.chance(30)) text[j] = fixture.model().next(std::span(text).first(j));
      }
      const auto from = static_cast<Position>(random.between(1, static_cast<int>(text.size()) - 1));
      specs.push_back(random.chance(30) ? spec_of(text, 5) : scored(text, from));
    }
    const std::vector<RequestSpec> asked = specs;
    const auto requests = fixture.engine().submit(std::move(specs));
    for (std::size_t i = 0; i < requests.size(); ++i) {
      if (asked[i].score_from) {
        check_scores(fixture.model(), asked[i].prompt, *asked[i].score_from, *requests[i]);
      } else {
        fixture.check_is_right(*requests[i]);
      }
    }
  });
}

TEST_CASE("scores: a shared beginning is evaluated once") {
  EngineFixture fixture;
  const Tokens shared = some_tokens(100, 7);
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 6; ++i) specs.push_back(scored(shared + some_tokens(4, i), 100));
  for (const auto& request : fixture.engine().submit(std::move(specs))) scores_of(*request);
  CHECK(fixture.engine().stats().prompt_tokens < 100 + 6 * 6);
}

TEST_CASE("progress: a long prompt tells how far it is, to those who want to know") {
  EngineFixture fixture;
  for (const bool wants : {true, false}) {
    RequestSpec spec = spec_of(some_tokens(100, wants ? 1 : 2), 1);
    spec.tells_prompt_done = wants;
    const auto request = fixture.submit(std::move(spec));
    std::vector<Position> told;
    TokenChannel::Read read;
    while (!read.outcome) {
      read = request->channel().read(kPatience, TokenChannel::Until::kNews);
      told.push_back(read.prompt_done);
    }
    CHECK(std::ranges::is_sorted(told));
    CHECK(told.back() == (wants ? 100 : 0));
  }
}

}  // namespace
}  // namespace llmlocal::testing
