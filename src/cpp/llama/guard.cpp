#include "llama/guard.h"

#include <ggml.h>

#include <cstdio>
#include <string>

#include "base/errors.h"

namespace llmlocal {
namespace {

thread_local int guards_on_this_thread = 0;

void on_abort(const char* message) {
  if (guards_on_this_thread > 0) throw AbortError(std::string("llama.cpp gave up: ") + message);
  // Somebody else's thread, or a worker of ggml's: nobody there could catch it.
  std::fprintf(stderr, "%s\n", message);
}

}  // namespace

AbortGuard::AbortGuard() {
  ++guards_on_this_thread;
}
AbortGuard::~AbortGuard() {
  --guards_on_this_thread;
}

void install_abort_handler() {
  ggml_set_abort_callback(on_abort);
}

}  // namespace llmlocal
