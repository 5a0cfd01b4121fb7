// Whatever fails at whatever moment: nobody waits for ever, what comes is right, and the engine
// goes on unless its decoder is beyond use.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine_fixture.h"
#include "failing_new.h"
#include "script.h"

namespace llmlocal::testing {
namespace {

enum class Harm {
  kSlower,  // What would have been spared is evaluated; no request may notice.
  kSome,    // Requests may fail, the engine goes on.
  kAll,     // The engine may have to stop.
};

constexpr const char* kClosed = "the model was closed";

// Which calls of the decoder fail, and how often.
class Dice {
 public:
  Dice(Harm harm, int seed, int percent)
      : random_(static_cast<std::uint64_t>(seed)), harm_(harm), percent_(percent) {}

  // By the engine's thread.
  void roll(Call call) {
    if (stopped_ || !may_fail(call) || random_.below(1000) >= 10 * percent_) return;
    const bool may_lack_memory_only = call == Call::kRestart && harm_ != Harm::kAll;
    const int kind = may_lack_memory_only ? 0 : random_.below(5);
    if (kind == 0) throw OutOfMemoryError("a fault");
    if (kind == 1) throw EngineError("a fault");
    if (kind == 2) throw std::bad_alloc();
    if (kind == 3) throw std::runtime_error("a fault");
    throw 42;
  }
  void stop() { stopped_ = true; }

  static bool is_a_fault(const std::string& error) {
    return error == "a fault" || error == "the engine failed: a fault" ||
           error == "the engine failed for an unknown reason" || error == kOutOfMemory;
  }
  static constexpr const char* kOutOfMemory = "out of memory while evaluating a step";

 private:
  bool may_fail(Call call) const {
    switch (call) {
      case Call::kCopy:
      case Call::kSave:
      case Call::kRestore:
      case Call::kSavePart:
      case Call::kCutBack:
      case Call::kTrim:
      case Call::kReshape:
        return true;
      case Call::kDecode:
      case Call::kLogits:
      case Call::kRestart:
        return harm_ != Harm::kSlower;
      case Call::kClear:
        return harm_ == Harm::kAll;
    }
    return false;
  }

  Random random_;
  Harm harm_;
  int percent_;
  std::atomic<bool> stopped_{false};
};

FakeOptions random_fake(Random& random) {
  FakeOptions fake;
  fake.memory = random.pick(kAllKinds);
  fake.has_parts = random.chance(50);
  fake.context_length = 128;
  fake.batch_capacity = static_cast<std::size_t>(random.pick<int>({1, 2, 7, 32, 300}));
  fake.streams = random.chance(80) ? 1 : 2;
  fake.model.answers_end = random.chance(50);
  fake.polls_abort_check = random.chance(80);
  const auto refusals = std::make_shared<Random>(static_cast<std::uint64_t>(random.below(1 << 30)));
  if (random.chance(50)) {
    fake.copy_works = fake.save_works = fake.restore_works =
        fake.cut_back_works = [refusals] { return refusals->chance(80); };
    fake.survives_reshape = [refusals](StreamId) { return refusals->chance(60); };
  }
  fake.grows_to = random.between(2, 8);
  fake.room = random.pick<Position>({8, 50, 128});
  fake.room_grows_to = random.pick<Position>({8, 64, kAnyRoom});
  fake.failed_restart_leaves_nothing = random.chance(50);
  return fake;
}

CacheOptions random_options(Random& random) {
  return {.max_streams = random.between(1, 8),
          .kv_bytes = static_cast<std::size_t>(random.pick<int>({0, 1, 3, 1000})) * kStreamBytes,
          .store_bytes = static_cast<std::size_t>(random.pick<int>({0, 2000, 1 << 20}))};
}

// What came of a request is right as far as it goes.  Of a text that was cut off, the end may be
// missing.
void check_beginning(const EngineFixture& fixture, const Request& request, const Result& result) {
  const Answer expected = fixture.reference(request.spec());
  REQUIRE(result.tokens.size() <= expected.tokens.size());
  CHECK(std::equal(result.tokens.begin(), result.tokens.end(), expected.tokens.begin()));
  std::string bytes;
  for (const Token token : result.tokens) bytes += fixture.model().piece(token);
  const SlowStop text = slow_stop(slow_decode(bytes, true), request.spec().stops.strings());
  CHECK(text.text.starts_with(result.text));
}

// Many requests at once, some cancelled, some late, perhaps closed in the midst of it.
class History {
 public:
  History(Random& random, Harm harm)
      : harm_(harm),
        dice_(std::make_shared<Dice>(harm, random.below(1 << 30), random.pick<int>({1, 5, 30}))),
        script_(std::make_shared<Script>()),
        fixture_{options(random), random_options(random)} {
    close_after_ = random.chance(20) ? random.below(kRequests) : kRequests;
    script_->run_on(fixture_.engine());
  }

  void play() {
    std::size_t ended = 0;
    while (const auto request = script_->next()) {
      if (ended == static_cast<std::size_t>(close_after_)) close();
      const Result result = read_to_end(*request);
      ++ended;
      count_in(*request, result);
      // Whoever learns of an end finds it in the statistics.
      const EngineStats stats = fixture_.engine().stats();
      CHECK(stats.waiting + static_cast<std::size_t>(stats.streams_active) + ended <=
            std::max(script_->submitted(), ended));
    }
    if (closer_.joinable()) closer_.join();
    const EngineStats stats = fixture_.engine().stats();
    CHECK(stats.streams_active == 0);
    CHECK(stats.waiting == 0);
    CHECK(stats.store_bytes <= stats.store_budget);
    dice_->stop();
    check_afterwards();
  }

 private:
  static constexpr int kRequests = 20;

  FakeOptions options(Random& random) {
    FakeOptions fake = random_fake(random);
    std::vector<Tokens> past;
    for (int i = 0; i < kRequests; ++i) {
      RequestSpec spec = random_spec(random, fake.model, past);
      if (random.chance(5))
        spec.timeout = std::chrono::duration<double>(random.below(2000) / 1e6 + 1e-9);
      script_->submit_at(random.below(60), std::move(spec));
    }
    for (int cancels = random.below(6); cancels > 0; --cancels) {
      script_->cancel_at(random.below(80), static_cast<std::size_t>(random.below(kRequests)));
    }
    fake.on_decode = [script = script_](const Batch&) { script->on_step(); };
    fake.on_call = [dice = dice_](Call call) { dice->roll(call); };
    return fake;
  }

  void close() {
    closed_ = true;
    closer_ = std::thread([this] { fixture_.engine().close(); });
  }

  void count_in(const Request& request, const Result& result) {
    const std::string error = error_of(result.outcome);
    check_beginning(fixture_, request, result);
    if (!error.empty()) {
      const bool expected =
          (closed_ && error == kClosed) || (harm_ != Harm::kSlower && Dice::is_a_fault(error));
      CHECK_MESSAGE(expected, error);
    } else if (result.outcome.reason == FinishReason::kCancelled) {
      CHECK(request.is_cancelled());
    } else if (result.outcome.reason == FinishReason::kTimeout) {
      CHECK(request.spec().timeout.has_value());
    } else {
      fixture_.check_is_right(request.spec(), result);
    }
  }

  void check_afterwards() {
    if (closed_) return;
    if (harm_ != Harm::kAll) return fixture_.check_works();
    try {
      fixture_.check_works();
    } catch (const EngineError& stopped_by) {
      CHECK_MESSAGE(Dice::is_a_fault(stopped_by.what()), stopped_by.what());
    }
  }

  Harm harm_;
  std::shared_ptr<Dice> dice_;
  std::shared_ptr<Script> script_;
  EngineFixture fixture_;
  int close_after_ = kRequests;
  bool closed_ = false;
  std::thread closer_;
};

TEST_CASE("any fault: that only costs time, no request notices") {
  for_random_cases(150, [](Random& random) { History(random, Harm::kSlower).play(); });
}

TEST_CASE("any fault: a step or a sampler that fails costs its requests, and the engine goes on") {
  for_random_cases(150, [](Random& random) { History(random, Harm::kSome).play(); });
}

TEST_CASE("any fault: that the engine can't go on with wakes everybody, with the reason") {
  for_random_cases(150, [](Random& random) { History(random, Harm::kAll).play(); });
}

// As an event loop does.
Result read_announced(Request& request) {
  const auto queue = std::make_shared<ReadyQueue>();
  request.channel().announce_on(queue, 7);
  Result result;
  while (!queue->wait(kPatience).empty()) {
    const TokenChannel::Read read =
        request.channel().read(std::chrono::milliseconds(0), TokenChannel::Until::kNews);
    for (const TokenEvent& event : read.events) {
      if (event.token != TokenEvent::kNoToken) result.tokens.push_back(event.token);
      result.text += event.text;
    }
    if (!read.outcome) continue;
    result.outcome = *read.outcome;
    return result;
  }
  FAIL("the end of the request was not announced");
  return result;
}

// The n-th allocation of the engine's thread fails, counted from its first step.
void run_out_of_memory_at(int n, Random& random) {
  FakeOptions fake = random_fake(random);
  const auto script = std::make_shared<Script>();
  const auto is_over = std::make_shared<std::atomic<bool>>(false);
  fake.on_decode = [script, n, is_over, armed = false](const Batch&) mutable {
    // The script's own memory is not the engine's.
    const int left = fail_allocation(kNever);
    script->on_step();
    if (!*is_over) fail_allocation(std::exchange(armed, true) ? left : n);
  };
  std::vector<Tokens> past;
  for (int i = 0; i < 10; ++i) {
    script->submit_at(random.below(20), random_spec(random, fake.model, past));
  }
  for (int i = 0; i < 3; ++i) {
    script->cancel_at(random.below(25), static_cast<std::size_t>(random.below(10)));
  }
  EngineFixture fixture(std::move(fake), random_options(random));
  script->run_on(fixture.engine());
  while (const auto request = script->next()) {
    const Result result = random.chance(50) ? read_announced(*request) : read_to_end(*request);
    check_beginning(fixture, *request, result);
    const std::string error = error_of(result.outcome);
    if (!error.empty()) CHECK(error == std::string(Dice::kOutOfMemory));
  }
  const EngineStats stats = fixture.engine().stats();
  CHECK(stats.streams_active == 0);
  CHECK(stats.waiting == 0);
  *is_over = true;
  fixture.run(spec_of(some_tokens(5)));  // Perhaps it is this one for which there is no memory.
  fixture.check_works();
}

TEST_CASE("any fault: an allocation that fails anywhere in the engine's thread wakes everybody") {
  const int before = failed_allocations();
  constexpr int kCases = 500;
  for_random_cases(kCases, [](Random& random) {
    run_out_of_memory_at(random.below(random.pick<int>({100, 3000})), random);
  });
  CHECK(failed_allocations() - before > kCases / 2);
}

}  // namespace
}  // namespace llmlocal::testing
