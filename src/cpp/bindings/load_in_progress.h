// Counts the loads that run, so that an exit can wait until they have stopped.
#pragma once

#include <atomic>

namespace llmlocal::python {

class LoadInProgress {
 public:
  LoadInProgress() { ++under_way; }
  ~LoadInProgress() { --under_way; }
  LoadInProgress(const LoadInProgress&) = delete;
  LoadInProgress& operator=(const LoadInProgress&) = delete;

  static int count() { return under_way; }

 private:
  static inline std::atomic<int> under_way{0};
};

}  // namespace llmlocal::python
