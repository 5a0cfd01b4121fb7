// Where memory runs out, requests take turns, fail alone, or are told; nobody waits for ever.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine_fixture.h"
#include "failing_new.h"

namespace llmlocal::testing {
namespace {

// Streams that can't grow beside what there is.
FakeOptions with_room_for_64(StreamId streams) {
  FakeOptions fake;
  fake.streams = streams;
  fake.room = fake.room_grows_to = 64;
  return fake;
}

TEST_CASE("faults: without memory for more streams requests take turns") {
  FakeOptions fake;
  fake.grows_to = 2;
  EngineFixture fixture(std::move(fake));
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 6; ++i) specs.push_back(spec_of(some_tokens(5, i)));
  const auto requests = fixture.engine().submit(std::move(specs));
  for (const auto& request : requests) fixture.check_is_right(*request);
  CHECK(fixture.engine().stats().streams == 2);
  CHECK(fixture.engine().stats().streams_limit == 2);
}

TEST_CASE("faults: once there is memory again, requests run together again") {
  const auto is_scarce = std::make_shared<std::atomic<bool>>(true);
  FakeOptions fake;
  fake.on_call = [is_scarce](Call call) {
    if (call == Call::kReshape && *is_scarce) throw OutOfMemoryError("others have it");
  };
  EngineFixture fixture(std::move(fake));
  const auto run_some = [&] {
    std::vector<RequestSpec> specs;
    for (int i = 0; i < 4; ++i) specs.push_back(spec_of(some_tokens(5, i)));
    for (const auto& request : fixture.engine().submit(std::move(specs))) {
      fixture.check_is_right(*request);
    }
    return fixture.engine().stats().streams;
  };
  CHECK(run_some() == 1);
  *is_scarce = false;
  CHECK(run_some() == 4);
}

TEST_CASE("faults: without memory to grow beside others, a long request waits until it is alone") {
  EngineFixture fixture(with_room_for_64(2));
  fixture.gate().shut();
  const std::array prompts = {some_tokens(10, 1), some_tokens(100, 2), some_tokens(10, 3)};
  const auto first = fixture.submit(spec_of(prompts[0], 20));
  fixture.gate().await_step();
  const auto longer = fixture.submit(spec_of(prompts[1], 20));
  const auto later = fixture.submit(spec_of(prompts[2], 20));
  fixture.gate().open();
  fixture.check_is_right(*first);
  fixture.check_is_right(*longer);
  fixture.check_is_right(*later);
  CHECK(fixture.log().restarts == 1);
  CHECK(fixture.engine().stats().stream_tokens == 128);
  Tokens starts;
  for (const Batch& batch : fixture.log().batches()) {
    for (std::size_t row = 0; row < batch.size(); ++row) {
      if (batch.positions[row] == 0) starts.push_back(batch.tokens[row]);
    }
  }
  CHECK(starts == Tokens{prompts[0][0], prompts[1][0], prompts[2][0]});  // Nobody overtook it.
}

TEST_CASE("faults: answers for which there is no memory to grow go on one after the other") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake = with_room_for_64(4);
    fake.memory = kind;
    EngineFixture fixture(std::move(fake));
    std::vector<RequestSpec> specs;
    for (int i = 0; i < 3; ++i) specs.push_back(spec_of(some_tokens(10, i), 100));
    specs.push_back(spec_of(some_tokens(10, 4), 20));
    for (const auto& request : fixture.engine().submit(std::move(specs))) {
      const Result result = read_to_end(*request);
      fixture.check_is_right(request->spec(), result);
      // What it reuses of its own is no beginning that was known before.
      CHECK(result.outcome.usage.cached_tokens == 0);
    }
    CHECK(fixture.log().restarts == 1);
    CHECK(fixture.engine().stats().streams == 1);
  }
}

TEST_CASE("faults: an answer that waits for memory goes on before others begin") {
  CacheOptions options = EngineFixture::plenty();
  options.max_streams = 2;
  EngineFixture fixture(with_room_for_64(2), options);
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 3; ++i) specs.push_back(spec_of(some_tokens(10, i), 100));
  for (const auto& request : fixture.engine().submit(std::move(specs))) {
    fixture.check_is_right(*request);
  }
  std::vector<Position> positions;
  for (const Batch& batch : fixture.log().batches()) {
    positions.insert(positions.end(), batch.positions.begin(), batch.positions.end());
  }
  const auto first_beyond = std::ranges::find(positions, 64);
  CHECK(std::count(positions.begin(), first_beyond, 0) == 2);
}

TEST_CASE("faults: an answer for which there is no memory even alone fails with what it has") {
  FakeOptions fake = with_room_for_64(1);
  fake.room_restarts_to = 64;
  EngineFixture fixture(std::move(fake));
  const Result cut = fixture.run(spec_of(some_tokens(10, 1), 100));
  CHECK(cut.tokens.size() == 64 - 10 + 1);
  CHECK(cut.outcome.usage.completion_tokens == 64 - 10 + 1);
  CHECK_THROWS_AS(std::rethrow_exception(cut.outcome.error), OutOfMemoryError);
  fixture.check_works();
}

TEST_CASE("faults: an answer that waits for memory can be cancelled, and is told of a close") {
  for (const bool closes : {false, true}) {
    CAPTURE(closes);
    EngineFixture fixture(with_room_for_64(2));
    fixture.gate().shut();
    std::vector<RequestSpec> specs;
    specs.push_back(spec_of(some_tokens(60, 1), 100));
    specs.push_back(spec_of(some_tokens(10, 2), 50));
    const auto requests = fixture.engine().submit(std::move(specs));
    fixture.gate().await_step();
    while (fixture.engine().stats().streams_active == 2) fixture.gate().next_step();
    CHECK(fixture.engine().stats().waiting == 1);
    if (!closes) requests[0]->cancel();
    fixture.gate().open();
    if (closes) fixture.engine().close();
    const Result cut = read_to_end(*requests[0]);
    CHECK(cut.outcome.reason == FinishReason::kCancelled);
    CHECK(cut.tokens.size() == 64 - 60 + 1);
    CHECK(cut.outcome.usage.completion_tokens == 64 - 60 + 1);
    CHECK(error_of(cut.outcome) == (closes ? "the model was closed" : ""));
    if (!closes) fixture.check_is_right(*requests[1]);
  }
}

TEST_CASE("faults: a request for which there is no memory even alone fails alone") {
  FakeOptions fake = with_room_for_64(1);
  fake.room_restarts_to = 64;
  EngineFixture fixture(std::move(fake));
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(10, 1), 20));
  specs.push_back(spec_of(some_tokens(100, 2), 20));
  specs.push_back(spec_of(some_tokens(10, 3), 20));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.check_is_right(*requests[0]);
  CHECK_THROWS_AS(std::rethrow_exception(read_to_end(*requests[1]).outcome.error),
                  OutOfMemoryError);
  fixture.check_is_right(*requests[2]);
  fixture.check_works();
}

TEST_CASE("faults: where a failed restart left nothing at all, each request tries again") {
  const auto is_scarce = std::make_shared<std::atomic<bool>>(true);
  FakeOptions fake;
  fake.room = 64;
  fake.failed_restart_leaves_nothing = true;
  fake.on_call = [is_scarce](Call call) {
    if ((call == Call::kReshape || call == Call::kRestart) && *is_scarce) throw std::bad_alloc();
  };
  EngineFixture fixture(std::move(fake));
  for (const std::size_t length : {100, 10, 100}) {
    const Result cut = fixture.run(spec_of(some_tokens(length)));
    CHECK_THROWS_AS(std::rethrow_exception(cut.outcome.error), OutOfMemoryError);
    CHECK(fixture.engine().stats().stream_tokens == 0);
  }
  *is_scarce = false;
  fixture.check_works();
  CHECK(fixture.engine().stats().stream_tokens == 64);
  fixture.check_is_right(*fixture.submit(spec_of(some_tokens(100))));
}

TEST_CASE("faults: memory that runs out while a state is saved fails nobody") {
  FakeOptions fake;
  fake.memory = MemoryKind::kWholeStates;
  fake.on_save = [] { throw std::bad_alloc(); };
  EngineFixture fixture(std::move(fake));
  for (int i = 0; i < 3; ++i) fixture.check_works(i);
}

TEST_CASE("faults: a refused request leaves the statistics before its consumer learns of it") {
  FakeOptions fake;
  fake.room = fake.room_grows_to = fake.room_restarts_to = 8;
  EngineFixture fixture(std::move(fake));
  fixture.gate().shut();
  for (int i = 0; i < 50; ++i) {
    check_failed(*fixture.submit(spec_of(some_tokens(9, i))), "no memory to restart");
    REQUIRE(fixture.engine().stats().waiting == 0);
  }
}

TEST_CASE("faults: without memory to say that there is none, it is said all the same") {
  for (const bool step_only : {true, false}) {
    FakeOptions fake;
    const auto armed = std::make_shared<std::atomic<bool>>(true);
    fake.on_call = [armed, step_only, error = std::runtime_error("a reason")](Call call) {
      if (!*armed || call != (step_only ? Call::kDecode : Call::kClear)) return;
      *armed = false;
      fail_allocation(0);
      throw error;
    };
    EngineFixture fixture(std::move(fake));
    const auto request = fixture.submit(spec_of(some_tokens(5)));
    CHECK_THROWS_AS(std::rethrow_exception(read_to_end(*request).outcome.error), OutOfMemoryError);
    if (step_only) fixture.check_works();
  }
}

// The n-th allocation of the engine's thread fails, with requests in all states.  False: there
// were not so many.
bool run_out_of_memory_at(int n) {
  const auto armed = std::make_shared<std::atomic<bool>>(false);
  FakeOptions fake;
  fake.memory = MemoryKind::kWholeStates;
  fake.on_decode = [armed, n](const Batch&) {
    if (armed->exchange(false)) fail_allocation(n);
  };
  EngineFixture fixture(std::move(fake), {.max_streams = 4, .kv_bytes = 4000, .store_bytes = 9000});
  const int failures_before = failed_allocations();
  fixture.gate().shut();
  std::vector<std::shared_ptr<Request>> requests;
  requests.push_back(fixture.submit(spec_of(some_tokens(40, 1) + Tokens{1})));
  fixture.gate().await_step();
  // More than one block of a queue holds; some wait for a leader, some are cancelled while they
  // wait, some while they run.
  for (int i = 0; i < 80; ++i) {
    requests.push_back(fixture.submit(spec_of(some_tokens(40, i % 3) + Tokens{i % 31}, 2)));
  }
  for (std::size_t i = 0; i < requests.size(); i += 7) requests[i]->cancel();
  *armed = true;
  fixture.gate().open();
  for (const auto& request : requests) {
    const Result result = read_to_end(*request);
    const std::string error = error_of(result.outcome);
    if (!error.empty()) {
      CHECK(error == "out of memory while evaluating a step");
    } else if (result.outcome.reason != FinishReason::kCancelled) {
      fixture.check_is_right(request->spec(), result);
    }
  }
  CHECK(fixture.engine().stats().streams_active == 0);
  CHECK(fixture.engine().stats().waiting == 0);
  fixture.check_works();
  return failed_allocations() > failures_before;
}

TEST_CASE("faults: wherever memory runs out for once, everybody is woken, and the engine goes on") {
  int n = 0;
  while (n < 400 && run_out_of_memory_at(n)) ++n;
  CHECK(n == 400);
}

}  // namespace
}  // namespace llmlocal::testing
