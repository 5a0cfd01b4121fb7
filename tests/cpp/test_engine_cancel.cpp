#include <doctest/doctest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

using std::chrono::duration;

CacheOptions one_stream() {
  return {.max_streams = 1, .kv_bytes = 1000 * kStreamBytes};
}

RequestSpec with_timeout(RequestSpec spec, double seconds) {
  spec.timeout = duration<double>(seconds);
  return spec;
}

// Steps in which the stream had rows.
std::size_t steps_of(const DecoderLog& log, StreamId stream) {
  std::size_t steps = 0;
  for (const Batch& batch : log.batches()) steps += rows_of(batch, stream) > 0 ? 1 : 0;
  return steps;
}

void check_ended(Request& request, FinishReason reason) {
  const Result result = read_to_end(request);
  CHECK(error_of(result.outcome) == "");
  CHECK(result.outcome.reason == reason);
  CHECK(static_cast<std::size_t>(result.outcome.usage.completion_tokens) == result.tokens.size());
}

TEST_CASE("cancel: a queued request ends at once and is never evaluated") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto running = fixture.submit(spec_of(some_tokens(10, 1)));
  fixture.gate().await_step();
  const auto queued = fixture.submit(spec_of(some_tokens(10, 2)));
  const auto next = fixture.submit(spec_of(some_tokens(10, 3)));
  queued->cancel();
  fixture.gate().next_step();
  check_ended(*queued, FinishReason::kCancelled);
  CHECK(fixture.engine().stats().waiting == 1);
  fixture.gate().open();
  fixture.check_is_right(*running);
  fixture.check_is_right(*next);
  CHECK(fixture.engine().stats().prompt_tokens == 20);
}

TEST_CASE("cancel: a request that waits for its leader ends at once") {
  EngineFixture fixture;
  const Tokens shared = some_tokens(100);
  fixture.gate().shut();
  const auto leader = fixture.submit(spec_of(shared + Tokens{1, 1}));
  const auto waiting = fixture.submit(spec_of(shared + Tokens{2, 2}));
  fixture.gate().await_step();
  fixture.gate().next_step();
  CHECK(fixture.engine().stats().waiting == 1);
  waiting->cancel();
  fixture.gate().next_step();
  check_ended(*waiting, FinishReason::kCancelled);
  fixture.gate().open();
  fixture.check_is_right(*leader);
}

TEST_CASE("cancel: in the middle of a prompt, the decoder stops in the middle of the step") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake;
    fake.memory = kind;
    EngineFixture fixture(std::move(fake), one_stream());
    fixture.gate().shut();
    const auto request = fixture.submit(spec_of(some_tokens(200)));
    fixture.gate().await_step();
    fixture.gate().next_step();
    request->cancel();
    // The gate stays shut: nothing but the abort check ends this step.
    check_ended(*request, FinishReason::kCancelled);
    CHECK(fixture.log().batches().size() == 2);
    CHECK(fixture.engine().stats().streams_active == 0);
    fixture.gate().open();
    fixture.check_works();
  }
}

TEST_CASE("cancel: the aborted part of a prompt leaves what was evaluated before for reuse") {
  EngineFixture fixture({}, one_stream());
  const Tokens prompt = some_tokens(200);
  fixture.gate().shut();
  const auto request = fixture.submit(spec_of(prompt));
  fixture.gate().await_step();
  fixture.gate().next_step();
  request->cancel();
  check_ended(*request, FinishReason::kCancelled);
  fixture.gate().open();
  const auto again = fixture.submit(spec_of(prompt));
  CHECK(read_to_end(*again).outcome.usage.cached_tokens == 32);
}

TEST_CASE("cancel: a step that others need is not aborted, and goes without the request after it") {
  EngineFixture fixture;
  fixture.gate().shut();
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(5, 1), 20));
  specs.push_back(spec_of(some_tokens(5, 2), 20));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.gate().await_step();
  fixture.gate().next_step();
  requests[1]->cancel();
  fixture.gate().next_step();
  check_ended(*requests[1], FinishReason::kCancelled);
  CHECK(fixture.engine().stats().streams_active == 1);
  fixture.gate().open();
  fixture.check_is_right(*requests[0]);
  CHECK(steps_of(fixture.log(), 1) == 2);
  CHECK(steps_of(fixture.log(), 0) == 20);
}

TEST_CASE("cancel: the freed stream serves the next request in the next step") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto first = fixture.submit(spec_of(some_tokens(5, 1), 100));
  fixture.gate().await_step();
  const auto second = fixture.submit(spec_of(some_tokens(6, 2)));
  fixture.gate().next_step();
  first->cancel();
  fixture.gate().await_step();
  while (fixture.log().batches().back().size() == 1) fixture.gate().next_step();
  CHECK(fixture.log().batches().size() <= 3);
  CHECK(fixture.log().batches().back().size() == 6);
  fixture.gate().open();
  check_ended(*first, FinishReason::kCancelled);
  fixture.check_is_right(*second);
}

TEST_CASE("cancel: tokens that came before are kept") {
  EngineFixture fixture;
  fixture.gate().shut();
  const auto request = fixture.submit(spec_of(some_tokens(5), 100));
  fixture.gate().await_step();
  for (int step = 0; step < 3; ++step) fixture.gate().next_step();
  request->cancel();
  const Result result = read_to_end(*request);
  Tokens expected = fixture.reference(request->spec()).tokens;
  expected.resize(3);
  CHECK(result.tokens == expected);
}

TEST_CASE("cancel: again, after the end, and after the engine, does nothing") {
  EngineFixture fixture;
  const auto request = fixture.submit(spec_of(some_tokens(5)));
  fixture.check_is_right(*request);
  request->cancel();
  request->cancel();
  fixture.check_works();
  fixture.destroy_engine();
  request->cancel();
  CHECK(read_to_end(*request).outcome.reason == FinishReason::kLength);
}

TEST_CASE("timeout: a queued request ends when its time is over") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto running = fixture.submit(spec_of(some_tokens(10, 1)));
  fixture.gate().await_step();
  const auto queued = fixture.submit(with_timeout(spec_of(some_tokens(10, 2)), 1e-9));
  fixture.gate().next_step();
  check_ended(*queued, FinishReason::kTimeout);
  fixture.gate().open();
  fixture.check_is_right(*running);
}

TEST_CASE("timeout: ends a prompt in the middle of a step") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto request = fixture.submit(with_timeout(spec_of(some_tokens(200)), 0.05));
  check_ended(*request, FinishReason::kTimeout);
  CHECK(fixture.log().batches().size() <= 1);
  fixture.gate().open();
  fixture.check_works();
}

TEST_CASE("timeout: ends an answer, with what came so far") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto request = fixture.submit(with_timeout(spec_of(some_tokens(5), 100), 0.1));
  fixture.gate().pass_one();
  const Result result = read_to_end(*request);
  CHECK(result.outcome.reason == FinishReason::kTimeout);
  CHECK(result.outcome.timings.total_s >= 0.1);
  CHECK(result.outcome.timings.total_s < 10);
  CHECK(result.tokens.size() == static_cast<std::size_t>(result.outcome.usage.completion_tokens));
}

TEST_CASE("cancel: comes before a timeout that passes with it") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto running = fixture.submit(spec_of(some_tokens(10, 1)));
  fixture.gate().await_step();
  const auto both = fixture.submit(with_timeout(spec_of(some_tokens(10, 2)), 1e-9));
  both->cancel();
  fixture.gate().open();
  check_ended(*both, FinishReason::kCancelled);
  fixture.check_is_right(*running);
}

TEST_CASE("cancel: a decoder that never polls is waited for, and the step's end ends the request") {
  FakeOptions fake;
  fake.polls_abort_check = false;
  EngineFixture fixture(std::move(fake), one_stream());
  fixture.gate().shut();
  const auto request = fixture.submit(spec_of(some_tokens(200)));
  fixture.gate().await_step();
  request->cancel();
  fixture.gate().pass_one();
  check_ended(*request, FinishReason::kCancelled);
  CHECK(fixture.log().batches().size() == 1);
  fixture.gate().open();
  fixture.check_works();
}

TEST_CASE("close: ends all requests with the reason, and the step in hand") {
  EngineFixture fixture({}, one_stream());
  fixture.gate().shut();
  const auto running = fixture.submit(spec_of(some_tokens(200, 1)));
  const auto queued = fixture.submit(spec_of(some_tokens(10, 2)));
  fixture.gate().await_step();
  fixture.engine().close();  // The gate is still shut: the abort check lets the step end.
  CHECK(error_of(read_to_end(*running).outcome) == "the model was closed");
  CHECK(error_of(read_to_end(*queued).outcome) == "the model was closed");
  CHECK(fixture.log().destroyed);
  CHECK(fixture.engine().stats().streams_active == 0);
  CHECK(fixture.engine().stats().waiting == 0);
}

TEST_CASE("close: wakes a consumer that waits, whatever it waits for") {
  EngineFixture fixture;
  fixture.gate().shut();
  const auto request = fixture.submit(spec_of(some_tokens(10)));
  fixture.gate().await_step();
  TokenChannel::Read read;
  std::thread consumer(
      [&] { read = request->channel().read(kPatience, TokenChannel::Until::kEnd); });
  fixture.engine().close();
  consumer.join();
  REQUIRE(read.outcome);
  CHECK_THROWS_AS(std::rethrow_exception(read.outcome->error), EngineClosedError);
}

TEST_CASE("close: afterwards requests are refused") {
  EngineFixture fixture;
  fixture.engine().close();
  CHECK_THROWS_WITH_AS(
      fixture.submit(spec_of(some_tokens(10))), "the model was closed", EngineClosedError);
}

TEST_CASE("close: twice, by several threads, and by the destructor") {
  EngineFixture fixture;
  const auto request = fixture.submit(spec_of(some_tokens(10), RequestSpec::kUnlimited));
  std::vector<std::thread> closers;
  for (int i = 0; i < 4; ++i) closers.emplace_back([&] { fixture.engine().close(); });
  for (std::thread& closer : closers) closer.join();
  fixture.engine().close();
  fixture.destroy_engine();
  CHECK(fixture.log().destroyed);
}

TEST_CASE("close: an idle engine ends, and a new one never asked for work does") {
  {
    const EngineFixture never_used;
  }
  EngineFixture fixture;
  fixture.check_works();
  fixture.destroy_engine();
  CHECK(fixture.log().destroyed);
}

TEST_CASE("close: what a request has got before can still be read") {
  EngineFixture fixture;
  const auto request = fixture.submit(spec_of(some_tokens(10)));
  while (fixture.engine().stats().completion_tokens < 8) {
    std::this_thread::yield();
  }
  fixture.destroy_engine();
  CHECK(read_to_end(*request).tokens.size() == 8);
}

}  // namespace
}  // namespace llmlocal::testing
