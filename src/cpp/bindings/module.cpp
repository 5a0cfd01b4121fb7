// The extension module llmlocal._core: llama.cpp behind the engine, for the Python layer only.
#include "bindings/bindings.h"

PYBIND11_MODULE(_core, module) {
  using namespace llmlocal::python;
  module.doc() = "The compiled part of llmlocal; its public face is the llmlocal package.";
  module.attr("__version__") = LLMLOCAL_VERSION;
  bind_errors(module);
  bind_log(module);
  bind_devices(module);
  bind_model(module);
  bind_tokenizer(module);
  bind_sampling_params(module);
  bind_sampler(module);
  bind_reasoning(module);
  bind_request(module);
  bind_engine(module);
}
