// Gives up the interpreter's lock, and takes it, at any moment, also while the interpreter ends.
//
// Up to Python 3.13, an interpreter that ends also ends each daemon thread that asks for its lock:
// inside that call it unwinds the thread's stack.  On the way nothing may stop the unwinding, be it
// a destructor or a `catch (...)`, or the process ends with SIGABRT.  So a thread that is to be
// ended sleeps here instead until the process is gone, as Python 3.14 has it.
//
// Before that, models are closed and loads stopped.  A daemon thread that waits in one of them
// would come back with an error, and print it while the program ends; so it does not come back at
// once.
//
// All that takes the lock goes through this file.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <utility>

namespace llmlocal::python {

// Makes a call of Python's C API that may lose the lock, or run Python code.  Nothing that the call
// makes in C++ is ever destroyed if the thread is to end in it, so it should make nothing.
template <typename Call>
auto call_python(Call&& call) -> decltype(call()) {
  try {
    return std::forward<Call>(call)();
  } catch (...) {  // Of C code, that is the end of the thread.
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
  }
}

// That the interpreter is about to end; see leave() in bind_exit.cpp.
class Exit {
 public:
  // Called by the thread that ends it.
  static void begin() {
    leaver = std::this_thread::get_id();
    has_begun = true;
  }
  // Whether it concerns this thread: one that is not waited for.
  static bool is_over_us() { return has_begun && std::this_thread::get_id() != leaver; }

 private:
  static inline std::atomic<bool> has_begun{false};
  static inline std::thread::id leaver;  // Written before has_begun.
};

// Whether the thread is a caller's, or one of ours, which the end of the interpreter waits for.
enum class ThreadOf { kCaller, kOurs };

// While one lives, this thread does not hold the lock.
class WithoutGil {
 public:
  explicit WithoutGil(ThreadOf whose = ThreadOf::kCaller)
      : whose_(whose), thread_(PyEval_SaveThread()) {}
  ~WithoutGil() {
    // Not for good: some program's own exit handler may wait for this thread.
    if (whose_ == ThreadOf::kCaller && Exit::is_over_us()) {
      std::this_thread::sleep_for(std::chrono::seconds(2));
    }
    call_python([this] { PyEval_RestoreThread(thread_); });
  }
  WithoutGil(const WithoutGil&) = delete;
  WithoutGil& operator=(const WithoutGil&) = delete;

 private:
  ThreadOf whose_;
  PyThreadState* thread_;
};

// For a whole call, but never a constructor's: pybind11 notes down the new object within it, with
// the lock held; so constructors have a WithoutGil inside of what makes the object.
using ReleaseGil = pybind11::call_guard<WithoutGil>;

// While one lives, this thread holds the lock; it may have held it before.
class WithGil {
 public:
  WithGil() : state_(call_python([] { return PyGILState_Ensure(); })) {}
  ~WithGil() { PyGILState_Release(state_); }
  WithGil(const WithGil&) = delete;
  WithGil& operator=(const WithGil&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace llmlocal::python
