// One failure costs the requests that it hits, and no more; a decoder beyond use ends everything,
// with the reason, and nobody waits for ever.
#include <doctest/doctest.h>

#include <atomic>
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

namespace llmlocal::testing {
namespace {

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
