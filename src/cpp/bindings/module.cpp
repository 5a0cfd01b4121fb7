// The extension module llmlocal._core: llama.cpp behind the engine, for the Python layer only.
#include "bindings/bindings.h"

PYBIND11_MODULE(_core_bindings, module) {
  using namespace llmlocal::python;
  module.doc() = "The compiled part of llmlocal; its public face is the llmlocal package.";
  module.attr("__version__") = LLMLOCAL_VERSION;
  bind_errors(module);
  bind_exit(module);
  bind_log(module);
  bind_devices(module);
  bind_model(module);
  bind_tokenizer(module);
  bind_sampling_params(module);
  bind_sampler(module);
  bind_reasoning(module);
  bind_guidance(module);
  bind_request(module);
  bind_engine(module);
  bind_embedder(module);
}

// The module's name comes from where Python found it, so this is the same module, but for the
// check: in another interpreter pybind11 would wait for ever for a lock that this one holds.
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): Python looks for it
extern "C" PYBIND11_EXPORT PyObject* PyInit__core() {
  if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
    PyErr_SetString(PyExc_ImportError,
                    "llmlocal can't be used in a sub-interpreter; use threads, or processes of "
                    "their own");
    return nullptr;
  }
  return PyInit__core_bindings();
}
