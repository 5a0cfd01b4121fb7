// The parts of the extension module: one function per class family, conversion only.
#pragma once

#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <pybind11/stl/filesystem.h>

#include "bindings/gil.h"

namespace llmlocal::python {

namespace py = pybind11;

void bind_errors(py::module_& module);
void bind_exit(py::module_& module);
void bind_log(py::module_& module);
void bind_devices(py::module_& module);
void bind_model(py::module_& module);
void bind_tokenizer(py::module_& module);
void bind_sampling_params(py::module_& module);
void bind_sampler(py::module_& module);
void bind_reasoning(py::module_& module);
void bind_guidance(py::module_& module);
void bind_request(py::module_& module);
void bind_engine(py::module_& module);
void bind_embedder(py::module_& module);

}  // namespace llmlocal::python
