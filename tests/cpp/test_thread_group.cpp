#include <doctest/doctest.h>

#include <atomic>
#include <ctime>
#include <optional>
#include <thread>
#include <vector>

#include "base/thread_group.h"

namespace llmlocal::testing {
namespace {

#ifdef __linux__

double own_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

void compute(double seconds) {
  const double start = own_seconds();
  while (own_seconds() - start < seconds) {
  }
}

TEST_CASE("thread group: what other threads of the process do is not its work") {
  constexpr double kWork = 0.02;
  std::atomic<bool> is_told{false};
  std::atomic<bool> is_seen{false};
  std::atomic<int> done{0};
  std::atomic<bool> stops{false};
  std::vector<std::thread> threads;
  const ThreadGroup group = ThreadGroup::started_by([&] {
    for (int i = 0; i < 2; ++i) {
      threads.emplace_back([&] {
        is_told.wait(false);
        compute(kWork);
        ++done;
        done.notify_all();
        is_seen.wait(false);  // A thread that has ended has no clock any more.
      });
    }
  });
  std::thread busy([&] {
    while (!stops) compute(0.001);
  });
  compute(0.001);
  const std::optional<double> before = group.cpu_seconds();
  is_told = true;
  is_told.notify_all();
  for (int n = done; n < 2; n = done) done.wait(n);
  const std::optional<double> after = group.cpu_seconds();
  stops = true;
  is_seen = true;
  is_seen.notify_all();
  busy.join();
  for (std::thread& thread : threads) thread.join();
  REQUIRE(before);
  REQUIRE(after);
  CHECK(*after - *before >= 2 * kWork);
  CHECK(*after - *before < 2.5 * kWork);
  CHECK_FALSE(group.cpu_seconds());
}

TEST_CASE("thread group: the thread that starts it keeps its name") {
  const ThreadGroup group = ThreadGroup::started_by([] {});
  const std::optional<double> before = group.cpu_seconds();
  compute(0.005);
  REQUIRE(before);
  CHECK(*group.cpu_seconds() - *before >= 0.005);
}

#endif

}  // namespace
}  // namespace llmlocal::testing
