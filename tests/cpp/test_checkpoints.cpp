#include <doctest/doctest.h>

#include <vector>

#include "engine/streams/checkpoints.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

constexpr Token kEnd = 99;

// Messages of these lengths, the token that ends each included.
Tokens messages(const std::vector<std::size_t>& lengths) {
  Tokens tokens;
  for (const std::size_t length : lengths) {
    tokens.resize(tokens.size() + length - 1, 1);
    tokens.push_back(kEnd);
  }
  return tokens;
}

std::vector<Position> chosen(const Tokens& prompt, Position reused = 0, Position parting = 0) {
  return choose_checkpoints(prompt, reused, parting, [](Token token) { return token == kEnd; });
}

using Positions = std::vector<Position>;

TEST_CASE("checkpoints: at the end of the first message and of the last ones") {
  CHECK(chosen(messages({50}) + Tokens{1, 1}) == Positions{50});
  CHECK(chosen(messages({50, 40, 30}) + Tokens{1}) == Positions{50, 90, 120});
  CHECK(chosen(messages({20, 20, 20, 20, 20, 20}) + Tokens{1}) == Positions{20, 80, 100, 120});
}

TEST_CASE("checkpoints: none at the end of the prompt, nor of what is there already") {
  CHECK(chosen(messages({50, 40})) == Positions{50});
  CHECK(chosen(messages({50, 40, 30}) + Tokens{1}, 50) == Positions{90, 120});
  CHECK(chosen(messages({50, 40, 30}) + Tokens{1}, 60) == Positions{90, 120});
  CHECK(chosen({}) == Positions{});
}

TEST_CASE("checkpoints: not close behind another one") {
  CHECK(chosen(messages({50, 3, 3, 40}) + Tokens{1}) == Positions{50, 96});
  CHECK(chosen(messages({10}) + Tokens{1}) == Positions{});
}

TEST_CASE("checkpoints: where two prompts part") {
  const Tokens prompt(200, 1);
  CHECK(chosen(prompt, 0, 120) == Positions{120});
  CHECK(chosen(prompt, 110, 120) == Positions{});
  CHECK(chosen(prompt, 130, 120) == Positions{});
  CHECK(chosen(prompt, 0, 200) == Positions{});
  CHECK(chosen(messages({50}) + prompt, 0, 53) == Positions{50});
  CHECK(chosen(messages({50}) + prompt, 0, 100) == Positions{50, 100});
}

// --- With an engine
// --------------------------------------------------------------------------------

std::int32_t cached(const Result& result) {
  return result.outcome.usage.cached_tokens;
}

FakeOptions whole_states(bool has_parts) {
  FakeOptions fake;
  fake.memory = MemoryKind::kWholeStates;
  fake.has_parts = has_parts;
  return fake;
}

Tokens message(std::size_t length, int salt) {
  return some_tokens(length - 1, salt) + Tokens{FakeModel().end_token()};
}

TEST_CASE("checkpoints: an edited last message and a retry evaluate that message alone") {
  for (const bool has_parts : {false, true}) {
    CAPTURE(has_parts);
    EngineFixture fixture(whole_states(has_parts));
    const Tokens system = message(40, 1);
    const Tokens question = message(30, 2);
    const Tokens talk = system + question + some_tokens(3, 3);
    CHECK(cached(fixture.run(spec_of(talk))) == 0);
    // The same once more, as if the answer was not liked.
    const Result retry = fixture.run(spec_of(talk));
    CHECK(cached(retry) == 70);
    fixture.check_is_right(spec_of(talk), retry);
    const RequestSpec edited = spec_of(system + message(25, 4) + some_tokens(3, 3));
    const Result answer = fixture.run(edited);
    CHECK(cached(answer) == 40);
    fixture.check_is_right(edited, answer);
  }
}

TEST_CASE("checkpoints: the third prompt adopts what the first two have in common") {
  for (const bool has_parts : {false, true}) {
    CAPTURE(has_parts);
    EngineFixture fixture(whole_states(has_parts));
    const Tokens shared = some_tokens(100);
    for (int i = 0; i < 4; ++i) {
      const RequestSpec spec = spec_of(shared + Tokens{static_cast<Token>(i), 1, 2});
      const Result result = fixture.run(spec);
      CHECK(cached(result) == (i < 2 ? 0 : 100));
      fixture.check_is_right(spec, result);
    }
  }
}

TEST_CASE("checkpoints: a long talk keeps few of them, and its turns evaluate what is new") {
  for (const bool has_parts : {false, true}) {
    CAPTURE(has_parts);
    EngineFixture fixture(whole_states(has_parts));
    Tokens talk = message(20, 0);
    for (int turn = 1; turn < 9; ++turn) {
      const auto known = static_cast<std::int32_t>(talk.size());
      talk = talk + message(20, turn);
      const RequestSpec spec = spec_of(talk + some_tokens(3, 100), 4);
      const Result result = fixture.run(spec);
      if (turn > 1) CHECK(cached(result) == known);
      fixture.check_is_right(spec, result);
    }
    CHECK(fixture.engine().stats().store_entries <= 20);
  }
}

}  // namespace
}  // namespace llmlocal::testing
