#include "bindings/bindings.h"
#include "bindings/load_in_progress.h"

namespace llmlocal::python {
namespace {

// Has loads of other threads stop, and waits for a moment until they have: what they work with is
// torn down at the end of the process.
void leave() {
  Exit::begin();
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (LoadInProgress::count() > 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

void bind_exit(py::module_& module) {
  module.def("leave", &leave, ReleaseGil(), "The interpreter is about to end: to be called first.");
}

}  // namespace llmlocal::python
