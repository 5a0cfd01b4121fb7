// Runs work that recurses deeply, away from the caller's stack.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <future>

namespace llmlocal {

// Begins `work`, which must own all that it uses, on a thread of its own with a stack of
// `stack_bytes`.  It is not waited for: not by the future's end, nor by the process's.  Throws
// OutOfMemoryError where such a thread can't be had.
std::shared_future<void> start_on_big_stack(std::size_t stack_bytes, std::function<void()> work);

// The same, but waits for it, and rethrows what it threw.
void run_on_big_stack(std::size_t stack_bytes, const std::function<void()>& work);

// The same, but waits for so long at most.  False: the work still goes on, and nobody will hear of
// its end.
bool run_on_big_stack_for(std::chrono::milliseconds most,
                          std::size_t stack_bytes,
                          std::function<void()> work);

}  // namespace llmlocal
