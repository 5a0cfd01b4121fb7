#include "bindings/bindings.h"
#include "llama/model.h"

namespace llmlocal::python {
namespace {

using Progress = std::function<bool(float)>;

std::shared_ptr<const Model> load(const std::string& path,
                                  std::vector<std::string> devices,
                                  std::int32_t gpu_layers,
                                  bool use_mmap,
                                  bool check_tensors,
                                  bool vocab_only,
                                  Progress on_progress) {
  ModelOptions options;
  options.devices = std::move(devices);
  options.gpu_layers = gpu_layers;
  options.use_mmap = use_mmap;
  options.check_tensors = check_tensors;
  options.vocab_only = vocab_only;
  if (on_progress) {
    // Loading runs in the caller's thread, so the callback may take the GIL; so may Ctrl-C.
    options.on_progress = [&](float done) {
      const py::gil_scoped_acquire gil;
      if (PyErr_CheckSignals() != 0) throw py::error_already_set();
      return on_progress(done);
    };
  }
  const py::gil_scoped_release no_gil;
  return Model::load(path, options);
}

}  // namespace

void bind_model(py::module_& module) {
  py::class_<Model, std::shared_ptr<Model>>(module, "Model")
      .def_static(
          "load",
          [](const std::string& path,
             std::vector<std::string> devices,
             std::int32_t gpu_layers,
             bool use_mmap,
             bool check_tensors,
             bool vocab_only,
             Progress on_progress) {
            return std::const_pointer_cast<Model>(load(path,
                                                       std::move(devices),
                                                       gpu_layers,
                                                       use_mmap,
                                                       check_tensors,
                                                       vocab_only,
                                                       std::move(on_progress)));
          },
          py::arg("path"),
          py::kw_only(),
          py::arg("devices"),
          py::arg("gpu_layers"),
          py::arg("use_mmap"),
          py::arg("check_tensors"),
          py::arg("vocab_only"),
          py::arg("on_progress"))
      .def_property_readonly("path", &Model::path)
      .def_property_readonly("metadata",
                             [](const Model& model) {
                               py::dict metadata;
                               for (const auto& [key, value] : model.metadata()) {
                                 const auto size = static_cast<Py_ssize_t>(value.size());
                                 metadata[py::str(key)] = py::reinterpret_steal<py::str>(
                                     PyUnicode_DecodeUTF8(value.data(), size, "replace"));
                               }
                               return metadata;
                             })
      .def_property_readonly("description", &Model::description)
      .def_property_readonly("size_bytes", &Model::size_bytes)
      .def_property_readonly("parameters", &Model::parameters)
      .def_property_readonly("training_context", &Model::training_context)
      .def_property_readonly("layers", &Model::layers)
      .def_property_readonly("sliding_window", &Model::sliding_window)
      .def_property_readonly("is_recurrent", &Model::is_recurrent)
      .def_property_readonly("is_hybrid", &Model::is_hybrid)
      .def_property_readonly("can_generate", &Model::can_generate)
      .def("chat_template", &Model::chat_template, py::arg("name"));
}

}  // namespace llmlocal::python
