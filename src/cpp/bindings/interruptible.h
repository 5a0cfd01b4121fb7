// Lets Ctrl-C, or a time limit, end the wait for work that has no way to be stopped.
#pragma once

#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "bindings/bindings.h"

namespace llmlocal::python {

struct TimeLimit {
  std::optional<double> seconds;
  const char* told = "";  // Once they have passed.
};

// Runs `work` on a thread of its own, and waits for it with the lock released; past the limit it
// throws RequestTimeoutError.  After that, or a signal whose handler raises, the work goes on alone
// and what comes of it is thrown away; so it owns all that it uses, and neither it nor its result
// needs the lock.
template <typename Work>
auto interruptible(Work work, const TimeLimit& limit = {}) -> decltype(work()) {
  using Clock = std::chrono::steady_clock;
  constexpr auto kSlice = std::chrono::milliseconds(50);
  constexpr double kForever = 1e9;  // More would not fit in a clock's numbers.
  const Clock::time_point begin = Clock::now();
  const std::chrono::duration<double> whole(std::min(limit.seconds.value_or(kForever), kForever));
  auto task = std::make_shared<std::packaged_task<decltype(work())()>>(std::move(work));
  auto result = task->get_future();
  const WithoutGil no_gil;
  try {
    std::thread([task = std::move(task)] { (*task)(); }).detach();
  } catch (const std::system_error&) {
    throw OutOfMemoryError("no thread can be started");
  }
  for (;;) {
    const auto left = whole - (Clock::now() - begin);
    if (left.count() <= 0) throw RequestTimeoutError(limit.told);
    if (result.wait_for(std::min<std::chrono::duration<double>>(left, kSlice)) ==
        std::future_status::ready) {
      break;
    }
    const WithGil gil;
    if (call_python([] { return PyErr_CheckSignals(); }) != 0) throw py::error_already_set();
  }
  return result.get();
}

}  // namespace llmlocal::python
