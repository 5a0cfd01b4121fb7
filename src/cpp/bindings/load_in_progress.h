// Counts the loads that run, so that an exit can wait until they have stopped.
#pragma once

#include <atomic>

namespace llmlocal::python {

class LoadInProgress {
 public:
  LoadInProgress() { ++count_; }
  ~LoadInProgress() { --count_; }
  LoadInProgress(const LoadInProgress&) = delete;
  LoadInProgress& operator=(const LoadInProgress&) = delete;

  static int count() { return count_; }

 private:
  static inline std::atomic<int> count_{0};
};

}  // namespace llmlocal::python
