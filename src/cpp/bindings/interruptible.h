// Lets Ctrl-C end the wait for work that has no way to be stopped.
#pragma once

#include <chrono>
#include <future>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

#include "base/errors.h"
#include "bindings/bindings.h"

namespace llmlocal::python {

// Runs `work` on a thread of its own, and waits for it with the lock released.  After a signal
// whose handler raises, the work goes on alone and what comes of it is thrown away; so it owns all
// that it uses, and neither it nor its result needs the lock.
template <typename Work>
auto interruptible(Work work) -> decltype(work()) {
  constexpr auto kSlice = std::chrono::milliseconds(50);
  auto task = std::make_shared<std::packaged_task<decltype(work())()>>(std::move(work));
  auto result = task->get_future();
  const WithoutGil no_gil;
  try {
    std::thread([task = std::move(task)] { (*task)(); }).detach();
  } catch (const std::system_error&) {
    throw OutOfMemoryError("no thread can be started");
  }
  while (result.wait_for(kSlice) != std::future_status::ready) {
    const WithGil gil;
    if (call_python([] { return PyErr_CheckSignals(); }) != 0) throw py::error_already_set();
  }
  return result.get();
}

}  // namespace llmlocal::python
