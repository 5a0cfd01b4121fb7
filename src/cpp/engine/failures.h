// The errors that requests end with: made while there is memory for them.
#pragma once

#include <exception>
#include <utility>

#include "base/errors.h"
#include "engine/request.h"
#include "engine/running_request.h"

namespace llmlocal {

class Failures {
 public:
  const std::exception_ptr& closed() const { return closed_; }
  const std::exception_ptr& out_of_memory() const { return out_of_memory_; }

  // The error as it should reach callers: ours as it is, anything else wrapped with its text.
  std::exception_ptr as_engine_error(const std::exception_ptr& error) const noexcept;

  // What can't be done for one request fails that one alone.
  template <typename Work>
  void attempt(RunningRequest& run, Work&& work) const {
    try {
      std::forward<Work>(work)();
    } catch (...) {
      run.fail(as_engine_error(std::current_exception()), Clock::now());
    }
  }

 private:
  std::exception_ptr closed_ = std::make_exception_ptr(EngineClosedError("the model was closed"));
  std::exception_ptr out_of_memory_ =
      std::make_exception_ptr(OutOfMemoryError("out of memory while evaluating a step"));
};

}  // namespace llmlocal
