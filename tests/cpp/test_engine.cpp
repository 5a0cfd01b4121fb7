#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

// What submit() says of a request that differs from a good one by `change`.
std::string complaint(const std::function<void(RequestSpec&)>& change) {
  EngineFixture fixture;
  RequestSpec spec = spec_of(some_tokens(10));
  change(spec);
  try {
    fixture.submit(std::move(spec));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("engine: a request gets the model's answer") {
  EngineFixture fixture;
  fixture.check_is_right(*fixture.submit(spec_of(some_tokens(100), 40)));
}

TEST_CASE("engine: max_tokens 0 evaluates the prompt, for whoever continues it") {
  EngineFixture fixture;
  const Tokens prompt = some_tokens(50);
  const Result result = fixture.run(spec_of(prompt, 0));
  CHECK(result.tokens.empty());
  CHECK(result.outcome.reason == FinishReason::kLength);
  CHECK(result.outcome.usage.prompt_tokens == 50);
  CHECK(fixture.run(spec_of(prompt + Tokens{1}, 1)).outcome.usage.cached_tokens == 50);
}

TEST_CASE("engine: without max_tokens the context is filled") {
  EngineFixture fixture;
  const auto request = fixture.submit(spec_of(some_tokens(100), RequestSpec::kUnlimited));
  const Result result = read_to_end(*request);
  CHECK(result.outcome.reason == FinishReason::kLength);
  CHECK(result.tokens.size() == 256 - 100 + 1);
}

TEST_CASE("engine: a prompt may fill the context, and one token follows") {
  EngineFixture fixture;
  fixture.check_is_right(*fixture.submit(spec_of(some_tokens(256))));
}

TEST_CASE("engine: answers end by end tokens and by stop strings") {
  FakeOptions fake;
  fake.model = model_that_says({"Hello", " wor", "ld.", "\nUser"});
  EngineFixture fixture(std::move(fake));
  const Result ended = fixture.run(spec_of({0}, 100));
  CHECK(ended.text == "Hello world.\nUser");
  CHECK(ended.outcome.reason == FinishReason::kStop);
  CHECK_FALSE(ended.outcome.stop_match.has_value());
  CHECK(ended.outcome.usage.completion_tokens == 4);
  RequestSpec spec = spec_of({0}, 100);
  spec.stops = {"User", "world."};
  const Result stopped = fixture.run(std::move(spec));
  CHECK(stopped.text == "Hello ");
  CHECK(stopped.outcome.reason == FinishReason::kStop);
  CHECK(stopped.outcome.stop_match == "world.");
}

TEST_CASE("engine: what can't be run is refused, with its value and its range") {
  CHECK(complaint([](RequestSpec& spec) { spec.prompt.clear(); }) ==
        "prompt must hold at least one token, got none");
  CHECK(complaint([](RequestSpec& spec) { spec.prompt[3] = -1; }) ==
        "prompt holds token -1, but the vocabulary has 0 to 31");
  CHECK(complaint([](RequestSpec& spec) { spec.prompt[3] = 32; }) ==
        "prompt holds token 32, but the vocabulary has 0 to 31");
  CHECK(complaint([](RequestSpec& spec) { spec.prompt[3] = 31; }).empty());
  CHECK(complaint([](RequestSpec& spec) { spec.max_tokens = -1; }) ==
        "max_tokens must be >= 0, got -1");
  CHECK(complaint([](RequestSpec& spec) { spec.stops = {"a", ""}; }) ==
        "stop must not hold an empty string");
  CHECK(complaint([](RequestSpec& spec) { spec.sampling.top_p = 2; }) ==
        "top_p must be in (0, 1] (1 = off), got 2");
  CHECK(complaint([](RequestSpec& spec) {
          spec.sampling.logit_bias = {{32, 1.0F}};
        }).starts_with("logit_bias"));
  for (const double seconds : {0.0, -1.0, std::numeric_limits<double>::quiet_NaN()}) {
    const std::string message = complaint(
        [=](RequestSpec& spec) { spec.timeout = std::chrono::duration<double>(seconds); });
    CHECK(message.starts_with("timeout must be > 0 seconds, got "));
  }
}

TEST_CASE("engine: a prompt that is too long is refused with both numbers") {
  EngineFixture fixture;
  try {
    fixture.submit(spec_of(some_tokens(257)));
    FAIL("it was taken");
  } catch (const ContextOverflowError& error) {
    CHECK(error.n_prompt == 257);
    CHECK(error.n_ctx == 256);
    const std::string message = error.what();
    CHECK(message.find("257") != std::string::npos);
    CHECK(message.find("256") != std::string::npos);
  }
}

TEST_CASE("engine: of requests that come together all are taken or none") {
  EngineFixture fixture;
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(10)));
  specs.push_back(spec_of({}));
  CHECK_THROWS_AS(fixture.engine().submit(std::move(specs)), ParameterError);
  fixture.check_works();
  CHECK(fixture.engine().stats().requests == 1);
}

TEST_CASE("engine: no requests are no work") {
  EngineFixture fixture;
  CHECK(fixture.engine().submit({}).empty());
}

TEST_CASE("engine: a timeout of ages is none") {
  EngineFixture fixture;
  RequestSpec spec = spec_of(some_tokens(10));
  spec.timeout = std::chrono::duration<double>(1e300);
  fixture.check_is_right(*fixture.submit(std::move(spec)));
}

TEST_CASE("engine: statistics add up when the consumer learns of the end") {
  EngineFixture fixture;
  const Tokens prompt = some_tokens(50);
  fixture.run(spec_of(prompt, 5));
  fixture.run(spec_of(prompt + some_tokens(30, 5), 7));
  const EngineStats stats = fixture.engine().stats();
  CHECK(stats.requests == 2);
  CHECK(stats.cached_tokens == 50);
  CHECK(stats.prompt_tokens == 50 + 30);
  CHECK(stats.completion_tokens == 5 + 7);
  CHECK(stats.prefix_hits == 1);
  CHECK(stats.steps == fixture.log().batches().size());
  CHECK(stats.waiting == 0);
  CHECK(stats.streams_active == 0);
  CHECK(stats.stream_bytes == kStreamBytes);
  CHECK(stats.store_budget == EngineFixture::plenty().store_bytes);
}

TEST_CASE("engine: timings follow one another") {
  EngineFixture fixture;
  const Timings timings = fixture.run(spec_of(some_tokens(50), 5)).outcome.timings;
  CHECK(timings.queue_s >= 0);
  CHECK(timings.prompt_s > 0);
  CHECK(timings.first_token_s == doctest::Approx(timings.queue_s + timings.prompt_s));
  CHECK(timings.per_token_s > 0);
  CHECK(timings.total_s >= timings.first_token_s + 4 * timings.per_token_s - 1e-9);
}

TEST_CASE("engine: requests that come together are decoded together, in streams made on demand") {
  EngineFixture fixture;
  fixture.gate().shut();
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 6; ++i) specs.push_back(spec_of(some_tokens(4, i), 5));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.gate().open();
  for (const auto& request : requests) fixture.check_is_right(*request);
  CHECK(fixture.log().batches().size() == 5);
  CHECK(streams_in(fixture.log().batches().front()).size() == 6);
  CHECK(fixture.engine().stats().streams == 8);
}

TEST_CASE("engine: what a step gave is announced when it is over, while answers go on") {
  EngineFixture fixture;
  fixture.gate().shut();
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 3; ++i) specs.push_back(spec_of(some_tokens(4, i), 9));
  const auto requests = fixture.engine().submit(std::move(specs));
  const auto queue = std::make_shared<ReadyQueue>();
  for (std::size_t i = 0; i < 3; ++i) {
    requests[i]->channel().announce_on(queue, static_cast<RequestId>(i));
  }
  fixture.gate().await_step();
  for (int step = 0; step < 4; ++step) {
    CHECK(queue->wait(std::chrono::milliseconds(0)).empty());
    fixture.gate().next_step();
    CHECK(queue->wait(std::chrono::milliseconds(0)) == std::vector<RequestId>{0, 1, 2});
    for (const auto& request : requests) {
      const TokenChannel::Read read =
          request->channel().read(std::chrono::milliseconds(0), TokenChannel::Until::kNews);
      CHECK(read.events.size() == 1);
      CHECK_FALSE(read.outcome);
    }
  }
  fixture.gate().open();
  for (const auto& request : requests) read_to_end(*request);
}

TEST_CASE("engine: one request at a time needs one stream") {
  EngineFixture fixture;
  for (int i = 0; i < 5; ++i) fixture.check_works(i);
  CHECK(fixture.engine().stats().streams == 1);
}

TEST_CASE("engine: requests beyond max_streams wait their turn") {
  EngineFixture fixture({}, {.max_streams = 2, .kv_bytes = 1000 * kStreamBytes});
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 7; ++i) specs.push_back(spec_of(some_tokens(10, i)));
  for (const auto& request : fixture.engine().submit(std::move(specs))) {
    fixture.check_is_right(*request);
  }
  for (const Batch& batch : fixture.log().batches()) CHECK(streams_in(batch).size() <= 2);
  CHECK(fixture.engine().stats().streams == 2);
}

TEST_CASE(
    "engine: streams keep to their bytes and to the rows of a batch, but one is always there") {
  const auto limit = [](std::size_t kv_bytes, std::size_t batch_capacity) {
    FakeOptions fake;
    fake.batch_capacity = batch_capacity;
    EngineFixture fixture(std::move(fake), {.max_streams = 8, .kv_bytes = kv_bytes});
    return fixture.engine().stats().streams_limit;
  };
  CHECK(limit(1000 * kStreamBytes, 100) == 8);
  CHECK(limit(3 * kStreamBytes + 1, 100) == 3);
  CHECK(limit(0, 100) == 1);
  CHECK(limit(1000 * kStreamBytes, 5) == 5);
}

TEST_CASE("engine: a running request has its token in every step while a long prompt comes in") {
  EngineFixture fixture;
  fixture.gate().shut();
  const auto first = fixture.submit(spec_of(some_tokens(4, 1), 30));
  fixture.gate().await_step();
  fixture.gate().next_step();
  const auto second = fixture.submit(spec_of(some_tokens(200, 2), 4));
  fixture.gate().open();
  fixture.check_is_right(*first);
  fixture.check_is_right(*second);
  const std::vector<Batch> batches = fixture.log().batches();
  REQUIRE(batches.size() >= 30);
  bool always_first = true;
  for (std::size_t step = 0; step < 30; ++step) {
    always_first = always_first && batches[step].streams[0] == 0;
  }
  CHECK(always_first);
  CHECK(std::ranges::any_of(
      batches, [](const Batch& batch) { return rows_of(batch, 0) == 1 && rows_of(batch, 1) > 1; }));
}

void work_for(std::chrono::milliseconds time) {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < time) std::this_thread::yield();
}

TEST_CASE("engine: a prompt alone is evaluated in one piece, beside an answer in bounded ones") {
  FakeOptions fake;
  fake.batch_capacity = 200;
  EngineFixture fixture(std::move(fake));
  fixture.gate().shut();
  const auto first = fixture.submit(spec_of(some_tokens(150, 1), 10));
  fixture.gate().await_step();
  CHECK(fixture.log().batches().back().size() == 150);
  // This step takes at least a millisecond for each token, so a piece has 120 at most.
  work_for(std::chrono::milliseconds(150));
  const auto second = fixture.submit(spec_of(some_tokens(150, 2), 1));
  fixture.gate().next_step();
  const Batch batch = fixture.log().batches().back();
  CHECK(rows_of(batch, 0) == 1);
  CHECK(rows_of(batch, 1) >= 16);
  CHECK(rows_of(batch, 1) <= 120);
  fixture.gate().open();
  fixture.check_is_right(*first);
  fixture.check_is_right(*second);
}

TEST_CASE(
    "engine: an answer waits for room made for a request, or for its prompt, but not for both") {
  FakeOptions fake;
  fake.batch_capacity = 200;
  fake.on_clear = [] { work_for(std::chrono::milliseconds(150)); };
  EngineFixture fixture(std::move(fake));
  fixture.gate().shut();
  const auto first = fixture.submit(spec_of(some_tokens(50, 1), 10));
  fixture.gate().await_step();
  const auto second = fixture.submit(spec_of(some_tokens(50, 2), 1));
  fixture.gate().next_step();
  CHECK(rows_of(fixture.log().batches().back(), 0) == 1);
  CHECK(rows_of(fixture.log().batches().back(), 1) == 0);
  fixture.gate().next_step();
  CHECK(rows_of(fixture.log().batches().back(), 0) == 1);
  CHECK(rows_of(fixture.log().batches().back(), 1) > 0);
  fixture.gate().open();
  fixture.check_is_right(*first);
  fixture.check_is_right(*second);
}

TEST_CASE("engine: a gap between running streams is closed after a while, and nobody notices") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake;
    fake.memory = kind;
    EngineFixture fixture(std::move(fake));
    fixture.gate().shut();
    std::vector<RequestSpec> specs;
    for (const std::int32_t max_tokens : {60, 3, 3, 60}) {
      specs.push_back(
          spec_of(some_tokens(5, max_tokens + static_cast<int>(specs.size())), max_tokens));
    }
    const auto requests = fixture.engine().submit(std::move(specs));
    fixture.gate().open();
    for (const auto& request : requests) fixture.check_is_right(*request);
    const std::vector<Batch> batches = fixture.log().batches();
    CHECK(streams_in(batches[5]) == std::set<StreamId>{0, 3});
    CHECK(streams_in(batches[40]) == std::set<StreamId>{0, 1});
    CHECK(fixture.log().copies == 1);
  }
}

TEST_CASE("engine: steps take as many threads as turn out to be of use") {
  FakeOptions fake;
  fake.keeps_threads_busy = true;
  std::vector<int> threads;
  const DecoderLog* log = nullptr;
  fake.on_decode = [&](const Batch&) { threads.push_back(log->threads); };
  EngineFixture fixture(std::move(fake));
  log = &fixture.log();
  for (int i = 0; i < 5; ++i) fixture.run(spec_of(some_tokens(40, i), 100));
  CHECK(threads.front() == 4);
  // The fake decoder has one thread, so that four of them lack time on CPUs: fewer are tried.
  CHECK(std::ranges::any_of(threads, [](int each) { return each < 4; }));
}

TEST_CASE(
    "engine: a step whose threads get no time is done again with fewer, and nothing is lost") {
  FakeOptions fake;
  fake.keeps_threads_busy = true;  // But at the gate they get no time on CPUs.
  // What other threads of the process get is not theirs.
  std::atomic<bool> stops{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      while (!stops) {
      }
    });
  }
  EngineFixture fixture(std::move(fake));
  fixture.gate().shut();
  const auto request = fixture.submit(spec_of(some_tokens(20), 30));
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (fixture.log().threads != 1) {
    REQUIRE(std::chrono::steady_clock::now() < deadline);
    fixture.gate().await_step();
  }
  stops = true;
  for (std::thread& other : others) other.join();
  fixture.gate().open();
  fixture.check_is_right(*request);
  const std::vector<Batch> batches = fixture.log().batches();
  REQUIRE(batches.size() > 2);
  CHECK(batches[1].tokens == batches[0].tokens);
  CHECK(batches[1].positions == batches[0].positions);
}

TEST_CASE("engine: a step that can't be undone is waited for, however long it takes") {
  for (const MemoryKind memory : {MemoryKind::kWindowed, MemoryKind::kWholeStates}) {
    FakeOptions fake;
    fake.memory = memory;
    fake.keeps_threads_busy = true;
    EngineFixture fixture(std::move(fake));
    fixture.gate().shut();
    const auto request = fixture.submit(spec_of(some_tokens(20), 30));
    fixture.gate().await_step();
    // Time itself is what is tested: twice what a step is given.
    std::this_thread::sleep_for(std::chrono::milliseconds(120));
    fixture.gate().open();
    fixture.check_is_right(*request);
    const std::vector<Batch> batches = fixture.log().batches();
    REQUIRE(batches.size() > 2);
    CHECK(batches[1].positions != batches[0].positions);
  }
}

}  // namespace
}  // namespace llmlocal::testing
