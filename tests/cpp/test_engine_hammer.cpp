// Many threads at once, doing all that callers do; meant for the thread sanitizer, true without it.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

using std::chrono::milliseconds;
using Until = TokenChannel::Until;

constexpr int kThreads = 64;

// What the callers found, all together.
struct Tally {
  std::atomic<int> requests{0};
  std::atomic<int> whole{0};  // Ended by themselves, with the right answer.
  std::atomic<int> cut{0};    // Cancelled or late, with the beginning of the right answer.
  std::atomic<int> closed{0};
  std::atomic<int> wrong{0};
};

RequestSpec random_spec(Random& random) {
  // Texts that others ask about too, with a question of one's own.
  const auto length = static_cast<std::size_t>(random.pick<int>({2, 20, 60}));
  Tokens prompt = some_tokens(length, random.below(4)) + some_tokens(3, random.below(1000));
  RequestSpec spec = spec_of(std::move(prompt), random.chance(5) ? 0 : random.between(1, 30));
  if (random.chance(20)) spec.stops = {"ab", "cd"};
  if (random.chance(10))
    spec.timeout = std::chrono::duration<double>(random.below(3000) / 1e6 + 1e-9);
  return spec;
}

// One thread's work: requests one after another, alone or a few together.
class Caller {
 public:
  Caller(EngineFixture& fixture, Tally& tally, std::uint64_t seed)
      : fixture_(fixture), tally_(tally), random_(seed) {}

  // False: the engine is closed.
  bool make_requests() {
    std::vector<RequestSpec> specs;
    for (int count = random_.chance(80) ? 1 : 4; count > 0; --count) {
      specs.push_back(random_spec(random_));
    }
    std::vector<std::shared_ptr<Request>> requests;
    try {
      requests = fixture_.engine().submit(std::move(specs));
    } catch (const EngineClosedError&) {
      return false;
    }
    tally_.requests += static_cast<int>(requests.size());
    if (random_.chance(30)) {
      read_announced(requests);
    } else {
      for (const auto& request : requests) count_in(*request, read(*request));
    }
    return true;
  }

 private:
  // As a stream, or only for the end; sometimes cancelled on the way.
  Result read(Request& request) {
    const Until until = random_.chance(50) ? Until::kNews : Until::kEnd;
    const int cancel_after = random_.chance(25) ? random_.below(4) : -1;
    Result result;
    for (int reads = 0;; ++reads) {
      if (reads == cancel_after) request.cancel();
      TokenChannel::Read read = request.channel().read(milliseconds(5), until);
      if (append(result, std::move(read))) return result;
    }
  }

  // As an event loop does: one queue for all.
  void read_announced(const std::vector<std::shared_ptr<Request>>& requests) {
    const auto queue = std::make_shared<ReadyQueue>();
    const Until until = random_.chance(50) ? Until::kNews : Until::kEnd;
    for (std::size_t id = 0; id < requests.size(); ++id) {
      requests[id]->channel().announce_on(queue, id, until);
    }
    if (random_.chance(25)) requests[0]->cancel();
    std::vector<Result> results(requests.size());
    for (std::size_t ended = 0; ended < requests.size();) {
      const std::vector<RequestId> ready = wait_for(*queue);
      if (ready.empty()) ++tally_.wrong;
      for (const RequestId id : ready) {
        if (!append(results[id], requests[id]->channel().read(milliseconds(0), Until::kNews)))
          continue;
        count_in(*requests[id], results[id]);
        ++ended;
      }
    }
  }

  // Counted in waits, so that a process that is stopped for a while has lost one of them at most.
  static std::vector<RequestId> wait_for(ReadyQueue& queue) {
    constexpr auto kSlice = std::chrono::seconds(1);
    std::vector<RequestId> ready;
    for (auto waited = kSlice * 0; ready.empty() && waited < kPatience; waited += kSlice) {
      ready = queue.wait(kSlice);
    }
    return ready;
  }

  static bool append(Result& result, TokenChannel::Read read) {
    for (const TokenEvent& event : read.events) {
      if (event.token != TokenEvent::kNoToken) result.tokens.push_back(event.token);
      result.text += event.text;
    }
    if (read.outcome) result.outcome = *read.outcome;
    return read.outcome != nullptr;
  }

  void count_in(const Request& request, const Result& result) {
    const Answer expected = fixture_.reference(request.spec());
    const auto generated = static_cast<std::size_t>(result.outcome.usage.completion_tokens);
    const bool begins_right =
        result.tokens.size() == generated && result.tokens.size() <= expected.tokens.size() &&
        std::equal(result.tokens.begin(), result.tokens.end(), expected.tokens.begin());
    const FinishReason reason = result.outcome.reason;
    if (!begins_right) {
      ++tally_.wrong;
    } else if (result.outcome.error) {
      ++(error_of(result.outcome) == "the model was closed" ? tally_.closed : tally_.wrong);
    } else if (reason == FinishReason::kCancelled || reason == FinishReason::kTimeout) {
      const bool asked = reason == FinishReason::kCancelled ? request.is_cancelled()
                                                            : request.spec().timeout.has_value();
      ++(asked ? tally_.cut : tally_.wrong);
    } else {
      const bool right = result.tokens == expected.tokens && result.text == expected.text &&
                         reason == expected.reason &&
                         result.outcome.stop_match == expected.stop_match;
      ++(right ? tally_.whole : tally_.wrong);
    }
  }

  EngineFixture& fixture_;
  Tally& tally_;
  Random random_;
};

template <typename Work>
void in_threads(EngineFixture& fixture, Tally& tally, const Work& work) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&fixture, &tally, &work, i] {
      Caller caller(fixture, tally, static_cast<std::uint64_t>(i) + 1);
      work(caller);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

FakeOptions memory_of(MemoryKind kind) {
  FakeOptions fake;
  fake.memory = kind;
  fake.model.answers_end = true;
  return fake;
}

TEST_CASE("hammer: every caller gets what it asked for, and everything is free in the end") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    EngineFixture fixture(
        memory_of(kind),
        {.max_streams = 8, .kv_bytes = 1000 * kStreamBytes, .store_bytes = 20'000});
    Tally tally;
    in_threads(fixture, tally, [](Caller& caller) {
      for (int i = 0; i < 8; ++i) caller.make_requests();
    });
    CHECK(tally.wrong == 0);
    CHECK(tally.closed == 0);
    CHECK(tally.whole + tally.cut == tally.requests);
    CHECK(tally.whole > kThreads);
    CHECK(tally.cut > 0);
    const EngineStats stats = fixture.engine().stats();
    CHECK(stats.streams_active == 0);
    CHECK(stats.waiting == 0);
    CHECK(stats.requests == static_cast<std::uint64_t>(tally.requests));
    CHECK(stats.store_bytes <= stats.store_budget);
    fixture.check_works();
  }
}

TEST_CASE("hammer: closing in the midst of it wakes every caller") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    EngineFixture fixture(memory_of(kind));
    Tally tally;
    std::thread closer([&] {
      while (tally.whole < 3 * kThreads) std::this_thread::yield();
      fixture.engine().close();
    });
    in_threads(fixture, tally, [](Caller& caller) {
      while (caller.make_requests()) {
      }
    });
    closer.join();
    CHECK(tally.wrong == 0);
    CHECK(tally.whole + tally.cut + tally.closed == tally.requests);
    CHECK(fixture.engine().stats().streams_active == 0);
  }
}

}  // namespace
}  // namespace llmlocal::testing
