// Keeps something that lives on threads from being used, or freed, in a forked child, where those
// threads do not exist.
#pragma once

#ifdef _WIN32
#include <process.h>
#else
#include <unistd.h>
#endif

#include <memory>
#include <utility>

#include "base/errors.h"

namespace llmlocal::python {

template <typename Value>
class ProcessBound {
 public:
  explicit ProcessBound(std::unique_ptr<Value> value) : value_(std::move(value)) {}

  // In a child, the value is left alone: freeing it would wait for a thread that is not there.
  ~ProcessBound() {
    if (!is_home()) static_cast<void>(value_.release());
  }
  ProcessBound(const ProcessBound&) = delete;
  ProcessBound& operator=(const ProcessBound&) = delete;

  bool is_home() const { return current_process() == owner_; }

  // Throws EngineError in a forked child.
  Value& get() const {
    if (!is_home()) {
      throw EngineError(
          "this model was loaded before the process forked and can't be used in the child; load it "
          "in the child, or start the child with the \"spawn\" method");
    }
    return *value_;
  }

 private:
  static int current_process() {
#ifdef _WIN32
    return _getpid();
#else
    return getpid();
#endif
  }

  std::unique_ptr<Value> value_;
  const int owner_ = current_process();
};

}  // namespace llmlocal::python
