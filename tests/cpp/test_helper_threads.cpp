#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <set>
#include <thread>
#include <vector>

#include "base/helper_threads.h"
#include "failing_new.h"
#include "meeting.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("helper threads: all work is done once, whatever its amount and their number") {
  HelperThreads helpers;
  for_random_cases(300, [&](Random& random) {
    const auto count = static_cast<std::size_t>(random.below(40));
    const auto most = static_cast<std::size_t>(random.below(5));
    std::vector<int> done(count);
    helpers.share(count, most, [&](std::size_t index) { ++done[index]; });
    CHECK(std::ranges::count(done, 1) == static_cast<std::ptrdiff_t>(count));
    if (random.chance(5)) helpers.end();
  });
}

TEST_CASE("helper threads: as many pieces as there are threads are done side by side") {
  HelperThreads helpers;
  Meeting meeting(3);
  helpers.share(3, 2, [&](std::size_t) { meeting.attend(); });
  CHECK(meeting.took_place());
}

TEST_CASE("helper threads: no more of them work than may, though more are there") {
  std::atomic<int> at_once{0};
  std::atomic<int> too_many{0};
  for (int i = 0; i < 50; ++i) {
    HelperThreads helpers;
    helpers.share(4, 3, [](std::size_t) {});  // Some are not awake yet when it is over.
    helpers.share(20, 1, [&](std::size_t) {
      const int now = ++at_once;
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
      while (std::chrono::steady_clock::now() < end) std::this_thread::yield();
      --at_once;
      if (now > 2) ++too_many;
    });
  }
  CHECK(too_many == 0);
}

TEST_CASE("helper threads: without any, the caller does all of it") {
  HelperThreads helpers;
  std::set<std::thread::id> threads;
  const HelperThreads::Work note = [&](std::size_t) { threads.insert(std::this_thread::get_id()); };
  helpers.share(20, 0, note);
  CHECK(threads == std::set{std::this_thread::get_id()});
  fail_allocation(0);  // That of the first thread.
  helpers.share(20, 1, note);
  CHECK(fail_allocation(kNever) == kNever);
  CHECK(threads == std::set{std::this_thread::get_id()});
}

}  // namespace
}  // namespace llmlocal::testing
