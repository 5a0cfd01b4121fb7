#include <functional>
#include <optional>

#include "base/errors.h"
#include "bindings/bindings.h"
#include "bindings/load_in_progress.h"
#include "bindings/text.h"
#include "llama/model.h"

namespace llmlocal::python {
namespace {

SplitMode split_mode_of(const std::string& name) {
  if (name == "layer") return SplitMode::kLayer;
  if (name == "row") return SplitMode::kRow;
  throw ParameterError("split_mode must be 'layer' or 'row', got '" + name + "'");
}

// Asks the callback whether to go on.  Loading runs in the caller's thread without the lock; taking
// it lets Ctrl-C in, also where there is no callback.
bool wants_more(const py::object& callback, float done) {
  if (Exit::is_over_us()) return false;
  const WithGil gil;
  PyObject* const answer = call_python([&]() -> PyObject* {
    if (PyErr_CheckSignals() != 0) return nullptr;
    if (callback.is_none()) return Py_NewRef(Py_True);
    return PyObject_CallFunction(callback.ptr(), "f", static_cast<double>(done));
  });
  if (!answer) throw py::error_already_set();
  const int is_true = call_python([&] { return PyObject_IsTrue(answer); });
  Py_DECREF(answer);
  if (is_true < 0) throw py::error_already_set();
  return is_true == 1;
}

// Whoever lets go of the model last frees its weights, which may take long: without the lock.
std::shared_ptr<Model> freed_without_gil(std::shared_ptr<const Model> model) {
  auto* const held = const_cast<Model*>(model.get());  // NOLINT(*-const-cast): pybind11's holder
  return {held, [model = std::move(model)](Model*) mutable {
            std::optional<WithoutGil> no_gil;
            if (Py_IsInitialized() && PyGILState_Check()) no_gil.emplace();
            model.reset();
          }};
}

std::shared_ptr<Model> load(const std::filesystem::path& path,
                            std::vector<std::string> devices,
                            std::int32_t gpu_layers,
                            const std::string& split_mode,
                            std::vector<float> tensor_split,
                            const std::vector<std::pair<std::string, std::string>>& placements,
                            bool use_mmap,
                            bool check_tensors,
                            bool vocab_only,
                            const py::object& on_progress) {
  ModelOptions options;
  options.devices = std::move(devices);
  options.gpu_layers = gpu_layers;
  options.split_mode = split_mode_of(split_mode);
  options.tensor_split = std::move(tensor_split);
  for (const auto& [pattern, device] : placements) options.placements.push_back({pattern, device});
  options.use_mmap = use_mmap;
  options.check_tensors = check_tensors;
  options.vocab_only = vocab_only;
  options.on_progress = [&](float done) { return wants_more(on_progress, done); };
  const WithoutGil no_gil;
  const LoadInProgress in_progress;
  return freed_without_gil(Model::load(path_bytes(path), options));
}

py::dict metadata_of(const Model& model) {
  py::dict metadata;
  for (const auto& [key, value] : model.metadata()) metadata[text_of(key)] = text_of(value);
  return metadata;
}

}  // namespace

void bind_model(py::module_& module) {
  py::class_<Model, std::shared_ptr<Model>>(module, "Model")
      .def_static("load",
                  &load,
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
      .def_property_readonly("path", [](const Model& model) { return path_text(model.path()); })
      .def_property_readonly("metadata", &metadata_of)
      .def_property_readonly("description",
                             [](const Model& model) { return text_of(model.description()); })
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
      .def_property_readonly("pooling_type", &Model::pooling_type)
      .def_property_readonly("labels",
                             [](const Model& model) {
                               py::list labels;
                               for (const std::string& each : model.labels()) {
                                 labels.append(text_of(each));
                               }
                               return labels;
                             })
      .def(
          "chat_template",
          [](const Model& model, const std::string& name) -> std::optional<py::str> {
            const std::optional<std::string> text = model.chat_template(name);
            if (!text) return std::nullopt;
            return text_of(*text);
          },
          py::arg("name"));
}

}  // namespace llmlocal::python
