// Answers that are held to something, beside answers that are not.
#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine_fixture.h"
#include "scripted_mask.h"

namespace llmlocal::testing {
namespace {

using Breaks = ScriptedMask::Breaks;

RequestSpec held_to(std::shared_ptr<TokenMask> mask,
                    Tokens prompt = some_tokens(5),
                    std::int32_t max_tokens = 50) {
  RequestSpec spec = spec_of(std::move(prompt), max_tokens);
  spec.mask = std::move(mask);
  return spec;
}

// Lets any token come, of those that are no ends, `count` times.
std::shared_ptr<ScriptedMask> any_tokens(std::size_t count, bool is_open) {
  return std::make_shared<ScriptedMask>([count, is_open](const Tokens& accepted) {
    const bool done = accepted.size() >= count;
    Legal legal{{}, is_open && !done, done, done};
    for (Token token = 0; token < 31 && !is_open; ++token) legal.tokens.push_back(token);
    return legal;
  });
}

TEST_CASE("constraint: an answer holds to its mask, and ends where that says so") {
  EngineFixture fixture;
  const Tokens text = some_tokens(12, 3);
  const Result result = fixture.run(held_to(mask_of(text)));
  CHECK(error_of(result.outcome) == "");
  CHECK(result.tokens == text);
  CHECK(result.outcome.reason == FinishReason::kStop);
  CHECK(result.outcome.usage.completion_tokens == 12);
}

TEST_CASE("constraint: beside it the answers of others are what they would be alone") {
  EngineFixture fixture;
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 6; ++i) specs.push_back(spec_of(some_tokens(7, i), 20));
  for (const int i : {1, 3, 4})
    specs[static_cast<std::size_t>(i)].mask = mask_of(some_tokens(9, i));
  const auto requests = fixture.engine().submit(std::move(specs));
  for (int i = 0; i < 6; ++i) {
    Request& request = *requests[static_cast<std::size_t>(i)];
    if (i == 1 || i == 3 || i == 4) {
      CHECK(read_to_end(request).tokens == some_tokens(9, i));
    } else {
      fixture.check_is_right(request);
    }
  }
}

TEST_CASE("constraint: what allows all changes nothing but the end") {
  for (const bool is_open : {true, false}) {
    CAPTURE(is_open);
    EngineFixture fixture;
    const RequestSpec free = spec_of(some_tokens(5), 10);
    const Result result = fixture.run(held_to(any_tokens(10, is_open), free.prompt));
    CHECK(result.tokens == fixture.reference(free).tokens);
    CHECK(result.outcome.reason == FinishReason::kStop);
  }
}

TEST_CASE("constraint: an answer that may not end yet goes on where the model would end it") {
  for (const bool is_open : {true, false}) {
    CAPTURE(is_open);
    FakeOptions fake;
    fake.model.script = [end = fake.model.end_token()](std::span<const Token>) { return end; };
    EngineFixture fixture(std::move(fake));
    const Result result = fixture.run(held_to(any_tokens(4, is_open)));
    CHECK(error_of(result.outcome) == "");
    CHECK(result.tokens.size() == 4);
    CHECK(result.outcome.reason == FinishReason::kStop);
  }
}

TEST_CASE("constraint: an answer that may end does when the model ends it") {
  FakeOptions fake;
  fake.model.script = [end = fake.model.end_token()](std::span<const Token>) { return end; };
  EngineFixture fixture(std::move(fake));
  const Result result = fixture.run(held_to(std::make_shared<ScriptedMask>(
      [](const Tokens& accepted) { return Legal{{7}, false, accepted.size() >= 2}; })));
  CHECK(result.tokens == Tokens{7, 7});
  CHECK(result.outcome.reason == FinishReason::kStop);
}

TEST_CASE("constraint: an answer that must be empty is") {
  EngineFixture fixture;
  const Result result = fixture.run(held_to(mask_of({})));
  CHECK(result.tokens.empty());
  CHECK(result.outcome.reason == FinishReason::kStop);
}

TEST_CASE("constraint: a limit that is reached with the end cuts nothing off") {
  EngineFixture fixture;
  const Result whole = fixture.run(held_to(mask_of(some_tokens(6)), some_tokens(5), 6));
  CHECK(whole.outcome.reason == FinishReason::kStop);
  const Result cut = fixture.run(held_to(mask_of(some_tokens(6)), some_tokens(5), 5));
  CHECK(cut.outcome.reason == FinishReason::kLength);
  CHECK(cut.tokens.size() == 5);
}

TEST_CASE("constraint: stop strings end it too") {
  EngineFixture fixture;
  RequestSpec spec = held_to(mask_of({12, 13, 14, 15}));  // "abcd"
  spec.stops = {"bc"};
  const Result result = fixture.run(std::move(spec));
  CHECK(result.text == "a");
  CHECK(result.outcome.stop_match == "bc");
}

TEST_CASE("constraint: one that breaks, or leads nowhere, fails its own request only") {
  EngineFixture fixture;
  std::vector<RequestSpec> specs;
  specs.push_back(held_to(mask_of(some_tokens(9), Breaks::kFill), some_tokens(5, 1)));
  specs.push_back(spec_of(some_tokens(5, 2)));
  specs.push_back(held_to(mask_of(some_tokens(9), Breaks::kAccept), some_tokens(5, 3)));
  const auto nowhere = [](const Tokens& accepted) {
    return Legal{accepted.empty() ? Tokens{3} : Tokens{}};
  };
  specs.push_back(held_to(std::make_shared<ScriptedMask>(nowhere), some_tokens(5, 4)));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.check_is_right(*requests[1]);
  const auto error = [&](std::size_t i) { return read_to_end(*requests[i]).outcome.error; };
  const char* broken = "the constraint failed: as the script says";
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error(0)), broken, ConstraintError);
  CHECK_THROWS_WITH_AS(std::rethrow_exception(error(2)), broken, ConstraintError);
  CHECK_THROWS_AS(std::rethrow_exception(error(3)), ConstraintError);
  fixture.check_works();
}

TEST_CASE("constraint: of an answer that is begun anew nothing is accepted twice") {
  FakeOptions fake;
  fake.room = 32;
  EngineFixture fixture(std::move(fake),
                        {.max_streams = 8, .kv_bytes = kStreamBytes, .store_bytes = 1U << 20U});
  std::vector<RequestSpec> specs;
  std::vector<std::shared_ptr<ScriptedMask>> masks;
  for (int i = 0; i < 8; ++i) {
    masks.push_back(mask_of(some_tokens(100, i)));
    specs.push_back(held_to(masks.back(), some_tokens(static_cast<std::size_t>(28 - i), i), 200));
  }
  const auto requests = fixture.engine().submit(std::move(specs));
  for (int i = 0; i < 8; ++i) {
    const auto index = static_cast<std::size_t>(i);
    const Result result = read_to_end(*requests[index]);
    CHECK(error_of(result.outcome) == "");
    CHECK(result.tokens == some_tokens(100, i));
    CHECK(masks[index]->accepted() == result.tokens);
  }
}

TEST_CASE("constraint: a mask belongs to one answer") {
  EngineFixture fixture;
  const auto mask = mask_of(some_tokens(3));
  fixture.run(held_to(mask));
  CHECK_THROWS_AS(fixture.submit(held_to(mask)), ParameterError);
  fixture.check_works();
}

TEST_CASE("constraint: a held answer can be cancelled, and is late like others") {
  EngineFixture fixture;
  fixture.gate().shut();
  const auto request = fixture.submit(held_to(any_tokens(1000, false)));
  fixture.gate().await_step();
  request->cancel();
  fixture.gate().open();
  CHECK(read_to_end(*request).outcome.reason == FinishReason::kCancelled);
  fixture.check_works();
}

}  // namespace
}  // namespace llmlocal::testing
