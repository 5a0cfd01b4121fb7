// Lets other Python threads run while one works in C++.
#pragma once

#include <pybind11/pybind11.h>

namespace llmlocal::python {

// While one lives, this thread does not hold the interpreter's lock.
//
// An interpreter that ends, up to Python 3.13, ends the threads that want its lock back by
// unwinding their stacks.  Nothing may unwind through the destructor of pybind11's own guard: the
// process would end with SIGABRT, because some daemon thread was waiting for a text.
class WithoutGil {
 public:
  WithoutGil() : thread_(PyEval_SaveThread()) {}
  ~WithoutGil() noexcept(false) {  // NOLINT(bugprone-unsafe-to-allow-exceptions): see above
    PyEval_RestoreThread(thread_);
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  PyThreadState* thread_;
};

using ReleaseGil = pybind11::call_guard<WithoutGil>;

}  // namespace llmlocal::python
