// One failure costs the requests that it hits, and no more; a decoder beyond use ends everything,
// with the reason, and nobody waits for ever.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
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

// Fails once, in the step after `arm()`.
class Fuse {
 public:
  void arm() { *armed_ = true; }
  bool burns() const { return armed_->exchange(false); }

 private:
  std::shared_ptr<std::atomic<bool>> armed_ = std::make_shared<std::atomic<bool>>(false);
};

template <typename Error>
FakeOptions failing_decode(const Fuse& fuse, const Error& error) {
  FakeOptions fake;
  fake.on_decode = [fuse, error](const Batch&) {
    if (fuse.burns()) throw error;
  };
  return fake;
}

void check_failed(Request& request, const std::string& message) {
  CHECK(error_of(read_to_end(request).outcome) == message);
}

TEST_CASE("faults: a step that fails ends its requests with the error, and the next one works") {
  Fuse fuse;
  EngineFixture fixture(failing_decode(fuse, EngineError("the step broke")));
  fixture.gate().shut();
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 3; ++i) specs.push_back(spec_of(some_tokens(5, i), 50));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.gate().await_step();
  fixture.gate().next_step();
  fuse.arm();
  fixture.gate().open();
  for (const auto& request : requests) check_failed(*request, "the step broke");
  CHECK(fixture.engine().stats().streams_active == 0);
  // The streams of the failed step hold anything: nobody may adopt from them.
  for (int i = 0; i < 3; ++i) fixture.check_works(i);
}

TEST_CASE("faults: requests that were not in the failed step go on") {
  Fuse fuse;
  FakeOptions fake = failing_decode(fuse, EngineError("the step broke"));
  fake.batch_capacity = 8;
  EngineFixture fixture(std::move(fake));
  fixture.gate().shut();
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(20, 1)));
  specs.push_back(spec_of(some_tokens(20, 2)));  // Admitted, but the batch has no room for it.
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.gate().await_step();
  fuse.arm();
  fixture.gate().open();
  check_failed(*requests[0], "the step broke");
  fixture.check_is_right(*requests[1]);
}

TEST_CASE("faults: followers of a leader whose step fails evaluate the text themselves") {
  Fuse fuse;
  EngineFixture fixture(failing_decode(fuse, EngineError("the step broke")));
  fixture.gate().shut();
  const Tokens shared = some_tokens(100);
  std::vector<RequestSpec> specs;
  for (Token i = 0; i < 3; ++i) specs.push_back(spec_of(shared + Tokens{i}));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.gate().await_step();
  fuse.arm();
  fixture.gate().open();
  check_failed(*requests[0], "the step broke");
  fixture.check_is_right(*requests[1]);
  fixture.check_is_right(*requests[2]);
}

TEST_CASE("faults: foreign exceptions come as ours, with their text") {
  Fuse fuse;
  {
    EngineFixture fixture(failing_decode(fuse, std::runtime_error("a reason")));
    fuse.arm();
    const Result result = fixture.run(spec_of(some_tokens(5)));
    CHECK_THROWS_WITH_AS(
        std::rethrow_exception(result.outcome.error), "the engine failed: a reason", EngineError);
    fixture.check_works();
  }
  {
    EngineFixture fixture(failing_decode(fuse, std::bad_alloc()));
    fuse.arm();
    const Result result = fixture.run(spec_of(some_tokens(5)));
    CHECK_THROWS_AS(std::rethrow_exception(result.outcome.error), OutOfMemoryError);
    fixture.check_works();
  }
  {
    EngineFixture fixture(failing_decode(fuse, "no exception at all"));
    fuse.arm();
    const Result result = fixture.run(spec_of(some_tokens(5)));
    CHECK_THROWS_AS(std::rethrow_exception(result.outcome.error), EngineError);
    fixture.check_works();
  }
}

TEST_CASE("faults: logits that are not numbers fail their request only") {
  FakeOptions fake;
  const Tokens bad = some_tokens(5, 1);
  fake.logits_are_nan = [bad](std::span<const Token> sequence) {
    return sequence.size() == 7 && std::equal(bad.begin(), bad.end(), sequence.begin());
  };
  EngineFixture fixture(std::move(fake));
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(5, 2), 20));
  specs.push_back(spec_of(bad, 20));
  specs.push_back(spec_of(some_tokens(5, 3), 20));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.check_is_right(*requests[0]);
  fixture.check_is_right(*requests[2]);
  const Result result = read_to_end(*requests[1]);
  CHECK(error_of(result.outcome) == "the model's output is not a number");
  CHECK(result.tokens.size() == 2);
  CHECK(result.outcome.usage.completion_tokens == 2);
}

TEST_CASE("faults: where a sampler can't be made, none of the requests is taken") {
  FakeOptions fake;
  fake.on_make_sampler = [](std::span<const Token> prompt) {
    if (prompt.size() == 3) throw ParameterError("no such sampler");
  };
  EngineFixture fixture(std::move(fake));
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(5, 1)));
  specs.push_back(spec_of(some_tokens(3, 2)));
  CHECK_THROWS_WITH_AS(
      fixture.engine().submit(std::move(specs)), "no such sampler", ParameterError);
  CHECK(fixture.engine().stats().waiting == 0);
  CHECK(fixture.engine().stats().requests == 0);
  fixture.check_works();
}

TEST_CASE("faults: while one caller's sampler is made, the requests of others go on") {
  FakeOptions fake;
  StepGate making;
  making.shut();
  fake.on_make_sampler = [&](std::span<const Token> prompt) {
    if (prompt.size() == 3) making.pass([] { return false; });
  };
  EngineFixture fixture(std::move(fake));
  std::thread slow([&] { fixture.check_is_right(*fixture.submit(spec_of(some_tokens(3)))); });
  making.await_step();
  fixture.check_works();
  making.open();
  slow.join();
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

TEST_CASE("faults: what a running request loses when streams are added is evaluated again") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake;
    fake.memory = kind;
    fake.survives_reshape = [](StreamId) { return false; };
    EngineFixture fixture(std::move(fake));
    fixture.gate().shut();
    const auto answering = fixture.submit(spec_of(some_tokens(40, 1), 30));
    fixture.gate().await_step();
    for (int step = 0; step < 5; ++step) fixture.gate().next_step();
    const auto prompting = fixture.submit(spec_of(some_tokens(100, 2)));
    fixture.gate().next_step();
    std::vector<RequestSpec> specs;
    for (int i = 3; i < 6; ++i) specs.push_back(spec_of(some_tokens(10, i)));
    const auto more = fixture.engine().submit(std::move(specs));
    fixture.gate().open();
    fixture.check_is_right(*answering);
    fixture.check_is_right(*prompting);
    for (const auto& request : more) fixture.check_is_right(*request);
    CHECK(fixture.log().reshapes == 2);
  }
}

TEST_CASE("faults: memory that runs out while a state is saved fails nobody") {
  FakeOptions fake;
  fake.memory = MemoryKind::kWholeStates;
  fake.on_save = [] { throw std::bad_alloc(); };
  EngineFixture fixture(std::move(fake));
  for (int i = 0; i < 3; ++i) fixture.check_works(i);
}

TEST_CASE("faults: whatever is thrown while a state is saved or adopted fails nobody") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake;
    fake.memory = kind;
    fake.on_call = [](Call call) {
      // As the real decoder does where it has no memory for the state.
      if (call == Call::kSave || call == Call::kCopy) throw OutOfMemoryError("no memory");
      if (call == Call::kRestore || call == Call::kTrim) throw std::runtime_error("a reason");
    };
    EngineFixture fixture(std::move(fake));
    const Tokens shared = some_tokens(60);
    for (int round = 0; round < 2; ++round) {
      std::vector<RequestSpec> specs;
      for (Token i = 0; i < 6; ++i) specs.push_back(spec_of(shared + Tokens{i, i}));
      for (const auto& request : fixture.engine().submit(std::move(specs))) {
        fixture.check_is_right(*request);
      }
    }
  }
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

// A decoder that can't even be cleared.
struct Broken {
  Fuse decode;
  FakeOptions options() const {
    FakeOptions fake = failing_decode(decode, EngineError("the step broke"));
    fake.on_clear = [broken = is_broken] {
      if (*broken) throw EngineError("beyond use");
    };
    return fake;
  }
  std::shared_ptr<std::atomic<bool>> is_broken = std::make_shared<std::atomic<bool>>(false);
};

TEST_CASE("faults: an engine beyond use wakes everybody, and says why from then on") {
  Broken broken;
  EngineFixture fixture(broken.options(), {.max_streams = 1, .kv_bytes = kStreamBytes});
  fixture.gate().shut();
  const auto running = fixture.submit(spec_of(some_tokens(5, 1)));
  const auto queued = fixture.submit(spec_of(some_tokens(5, 2)));
  fixture.gate().await_step();
  TokenChannel::Read read;
  std::thread consumer(
      [&] { read = queued->channel().read(kPatience, TokenChannel::Until::kEnd); });
  *broken.is_broken = true;
  broken.decode.arm();
  fixture.gate().open();
  consumer.join();
  REQUIRE(read.outcome);
  CHECK(error_of(*read.outcome) == "beyond use");
  check_failed(*running, "the step broke");
  for (int i = 0; i < 2; ++i) {
    CHECK_THROWS_WITH_AS(fixture.submit(spec_of(some_tokens(5))), "beyond use", EngineError);
  }
  CHECK(fixture.engine().stats().streams_active == 0);
  CHECK(fixture.engine().stats().waiting == 0);
}

TEST_CASE("faults: requests that wait for others are woken when letting one in breaks the engine") {
  const Broken broken;
  FakeOptions fake = broken.options();
  fake.on_clear = [clears = 0]() mutable {
    if (++clears > 1) throw EngineError("beyond use");
  };
  EngineFixture fixture(std::move(fake));
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(some_tokens(50, 1)));
  specs.push_back(spec_of(some_tokens(50, 1)));  // Waits for the first one.
  specs.push_back(spec_of(some_tokens(7, 2)));   // Needs a stream, but that can't be cleared.
  specs.push_back(spec_of(some_tokens(5, 3)));
  for (const auto& request : fixture.engine().submit(std::move(specs))) {
    check_failed(*request, "beyond use");
  }
  CHECK_THROWS_WITH_AS(fixture.submit(spec_of(some_tokens(5))), "beyond use", EngineError);
}

}  // namespace
}  // namespace llmlocal::testing
