#include "base/memory_ledger.h"
#include "base/system_memory.h"
#include "bindings/bindings.h"
#include "bindings/text.h"
#include "llama/backend.h"
#include "llama/devices.h"
#include "llama/rpc.h"

namespace llmlocal::python {

void bind_devices(py::module_& module) {
  py::class_<BackendLibrary>(module, "BackendLibrary")
      .def_property_readonly("path",
                             [](const BackendLibrary& library) { return path_text(library.path); })
      .def_readonly("is_cpu", &BackendLibrary::is_cpu)
      .def_readonly("fits", &BackendLibrary::fits)
      .def_readonly("score", &BackendLibrary::score)
      .def_property_readonly("problem", text_field(&BackendLibrary::problem))
      .def_readonly("is_loaded", &BackendLibrary::is_loaded);

  module.def(
      "start_llama",
      [](const std::filesystem::path& folder) { return start_llama(path_bytes(folder)); },
      py::arg("library_dir"),
      ReleaseGil(),
      "Start llama.cpp on the CPU; return the backends that were found as files.");
  module.def(
      "find_backend_libraries",
      [](const std::filesystem::path& folder) {
        return find_backend_libraries(path_bytes(folder));
      },
      py::arg("folder"),
      ReleaseGil());
  module.def(
      "load_backend",
      [](const std::filesystem::path& path) { load_backend(path_bytes(path)); },
      py::arg("path"),
      ReleaseGil());

  py::class_<DeviceInfo>(module, "DeviceInfo")
      .def_property_readonly("name", text_field(&DeviceInfo::name))
      .def_property_readonly("description", text_field(&DeviceInfo::description))
      .def_property_readonly("backend", text_field(&DeviceInfo::backend))
      .def_readonly("type", &DeviceInfo::type)
      .def_readonly("pci_id", &DeviceInfo::pci_id)
      .def_readonly("memory_free", &DeviceInfo::memory_free)
      .def_readonly("memory_total", &DeviceInfo::memory_total);

  module.def("list_devices", &list_devices, ReleaseGil());
  module.def("system_info", &system_info, ReleaseGil());
  module.def("own_kernels",
             &own_kernels,
             ReleaseGil(),
             "What our own CPU kernels are compiled for; empty = there are none here.");
  module.def(
      "total_memory",
      [] { return system_memory().total; },
      ReleaseGil(),
      "Bytes of the machine's memory, or of the container's; None = unknown.");
  module.def(
      "free_memory",
      [] { return system_memory().available; },
      ReleaseGil(),
      "Bytes that can be taken now without anything being swapped out; None = unknown.");
  module.def(
      "promised_memory",
      [] { return MemoryLedger::of_process()->promised(); },
      ReleaseGil(),
      "Bytes of them that the open models may still take.");
  module.def(
      "rpc_devices",
      [](std::string host, std::uint16_t port, double connect_s, double stall_s) {
        const auto limit = [](double seconds) {
          return TimeLimit(static_cast<TimeLimit::rep>(seconds * 1000));
        };
        return rpc_devices({std::move(host), port}, {limit(connect_s), limit(stall_s)});
      },
      py::arg("host"),
      py::arg("port"),
      py::kw_only(),
      py::arg("connect_s"),
      py::arg("stall_s"),
      ReleaseGil(),
      "The devices of an RPC server.");
  module.def(
      "serve_rpc",
      [](std::string host,
         std::uint16_t port,
         int threads,
         const std::vector<std::string>& devices) {
        serve_rpc({std::move(host), port}, threads, devices);
      },
      py::arg("host"),
      py::arg("port"),
      py::kw_only(),
      py::arg("threads"),
      py::arg("devices"),
      ReleaseGil(),
      "Serve these devices until the process ends.");
}

}  // namespace llmlocal::python
