// Calls into llama.cpp in a way that can't end the process.
//
// ggml answers a broken invariant with abort().  Inside a guarded call on this thread that becomes
// an AbortError instead; everything else that may come out of the C API becomes an Error as well.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/errors.h"
#include "base/fuse.h"

namespace llmlocal {

// While one lives, ggml's abort on this thread throws AbortError.
class AbortGuard {
 public:
  AbortGuard();
  ~AbortGuard();
  AbortGuard(const AbortGuard&) = delete;
  AbortGuard& operator=(const AbortGuard&) = delete;
};

// Makes the above true; called once, before any other use of ggml.
void install_abort_handler();

// Runs `call`; whatever it throws arrives as an Error whose text starts with `what`.
template <typename Call>
auto guarded(const char* what, Call&& call) -> decltype(call()) {
  const AbortGuard guard;
  try {
    return std::forward<Call>(call)();
  } catch (const Error&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw OutOfMemoryError(std::string(what) + ": out of memory");
  } catch (const std::exception& error) {
    throw EngineError(std::string(what) + ": " + error.what());
  }
}

// The same for calls that work on one thing: after one has aborted, none is made.
class FusedGuard {
 public:
  template <typename Call>
  auto operator()(const char* what, Call&& call) -> decltype(call()) {
    return fuse_.run([&] { return guarded(what, std::forward<Call>(call)); });
  }

 private:
  Fuse fuse_;
};

}  // namespace llmlocal
