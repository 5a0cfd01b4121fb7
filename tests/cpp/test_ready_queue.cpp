#include <doctest/doctest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "engine/ready_queue.h"
#include "step_gate.h"

namespace llmlocal::testing {
namespace {

using std::chrono::milliseconds;

TEST_CASE("ready queue: gives all ids since the last call, in order, once") {
  ReadyQueue queue;
  queue.push(3);
  queue.push(1);
  queue.push(3);
  CHECK(queue.wait(milliseconds(0)) == std::vector<RequestId>{3, 1, 3});
  CHECK(queue.wait(milliseconds(0)).empty());
}

TEST_CASE("ready queue: waits no longer than it should") {
  constexpr milliseconds kShort{20};
  ReadyQueue queue;
  const auto start = std::chrono::steady_clock::now();
  CHECK(queue.wait(kShort).empty());
  CHECK(std::chrono::steady_clock::now() - start >= kShort);
}

TEST_CASE("ready queue: a waiting thread is woken") {
  ReadyQueue queue;
  std::vector<RequestId> got;
  std::thread waiter([&] { got = queue.wait(kPatience); });
  queue.push(5);
  waiter.join();
  CHECK(got == std::vector<RequestId>{5});
}

TEST_CASE("ready queue: many threads lose no id") {
  constexpr RequestId kEach = 1000;
  ReadyQueue queue;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&queue] {
      for (RequestId id = 0; id < kEach; ++id) queue.push(id);
    });
  }
  std::vector<RequestId> count(kEach, 0);
  std::size_t total = 0;
  while (total < 4 * kEach) {
    const std::vector<RequestId> got = queue.wait(kPatience);
    REQUIRE_FALSE(got.empty());
    for (const RequestId id : got) ++count[id];
    total += got.size();
  }
  for (std::thread& writer : writers) writer.join();
  CHECK(count == std::vector<RequestId>(kEach, 4));
}

}  // namespace
}  // namespace llmlocal::testing
