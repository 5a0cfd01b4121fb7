#include "base/errors.h"
#include "bindings/bindings.h"
#include "llama/model.h"

namespace llmlocal::python {
namespace {

using Progress = std::function<bool(float)>;

SplitMode split_mode_of(const std::string& name) {
  if (name == "layer") return SplitMode::kLayer;
  if (name == "row") return SplitMode::kRow;
  throw ParameterError("split_mode must be 'layer' or 'row', got '" + name + "'");
}

std::shared_ptr<const Model> load(
    const std::string& path,
    std::vector<std::string> devices,
    std::int32_t gpu_layers,
    const std::string& split_mode,
    std::vector<float> tensor_split,
    const std::vector<std::pair<std::string, std::string>>& placements,
    bool use_mmap,
    bool check_tensors,
    bool vocab_only,
    Progress on_progress) {
  ModelOptions options;
  options.devices = std::move(devices);
  options.gpu_layers = gpu_layers;
  options.split_mode = split_mode_of(split_mode);
  options.tensor_split = std::move(tensor_split);
  for (const auto& [pattern, device] : placements) options.placements.push_back({pattern, device});
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
  const WithoutGil no_gil;
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
             const std::string& split_mode,
             std::vector<float> tensor_split,
             const std::vector<std::pair<std::string, std::string>>& placements,
             bool use_mmap,
             bool check_tensors,
             bool vocab_only,
             Progress on_progress) {
            return std::const_pointer_cast<Model>(load(path,
                                                       std::move(devices),
                                                       gpu_layers,
                                                       split_mode,
                                                       std::move(tensor_split),
                                                       placements,
                                                       use_mmap,
                                                       check_tensors,
                                                       vocab_only,
                                                       std::move(on_progress)));
          },
          py::arg("path"),
          py::kw_only(),
          py::arg("devices"),
          py::arg("gpu_layers"),
          py::arg("split_mode"),
          py::arg("tensor_split"),
          py::arg("placements"),
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
      .def_property_readonly("offloaded_layers", &Model::offloaded_layers)
      .def_property_readonly("offloadable_layers", &Model::offloadable_layers)
      .def_property_readonly("buffer_sizes", &Model::buffer_sizes)
      .def_property_readonly("device_buffers", &Model::device_buffers)
      .def_property_readonly("sliding_window", &Model::sliding_window)
      .def_property_readonly("is_recurrent", &Model::is_recurrent)
      .def_property_readonly("is_hybrid", &Model::is_hybrid)
      .def_property_readonly("can_generate", &Model::can_generate)
      .def("chat_template", &Model::chat_template, py::arg("name"));
}

}  // namespace llmlocal::python
