#include "bindings/bindings.h"
#include "sampling/sampling_params.h"

namespace llmlocal::python {

void bind_sampling_params(py::module_& module) {
  py::class_<SamplingParams>(module, "SamplingParams")
      .def(py::init<>())
      .def_readwrite("temp", &SamplingParams::temperature)
      .def_readwrite("top_k", &SamplingParams::top_k)
      .def_readwrite("top_p", &SamplingParams::top_p)
      .def_readwrite("min_p", &SamplingParams::min_p)
      .def_readwrite("typical_p", &SamplingParams::typical_p)
      .def_readwrite("top_n_sigma", &SamplingParams::top_n_sigma)
      .def_readwrite("repeat_last_n", &SamplingParams::repeat_last_n)
      .def_readwrite("repeat_penalty", &SamplingParams::repeat_penalty)
      .def_readwrite("frequency_penalty", &SamplingParams::frequency_penalty)
      .def_readwrite("presence_penalty", &SamplingParams::presence_penalty)
      .def_readwrite("dry_multiplier", &SamplingParams::dry_multiplier)
      .def_readwrite("dry_base", &SamplingParams::dry_base)
      .def_readwrite("dry_allowed_length", &SamplingParams::dry_allowed_length)
      .def_readwrite("dry_last_n", &SamplingParams::dry_last_n)
      .def_readwrite("dry_breakers", &SamplingParams::dry_breakers)
      .def_readwrite("xtc_probability", &SamplingParams::xtc_probability)
      .def_readwrite("xtc_threshold", &SamplingParams::xtc_threshold)
      .def_readwrite("mirostat", &SamplingParams::mirostat)
      .def_readwrite("mirostat_tau", &SamplingParams::mirostat_tau)
      .def_readwrite("mirostat_eta", &SamplingParams::mirostat_eta)
      .def_readwrite("logit_bias", &SamplingParams::logit_bias)
      .def_readwrite("seed", &SamplingParams::seed)
      .def("validate", &SamplingParams::validate, py::arg("vocab_size"));
}

}  // namespace llmlocal::python
