#include "bindings/bindings.h"
#include "llama/backend.h"
#include "llama/devices.h"
#include "llama/rpc.h"

namespace llmlocal::python {

void bind_devices(py::module_& module) {
  py::class_<BackendLibrary>(module, "BackendLibrary")
      .def_readonly("path", &BackendLibrary::path)
      .def_readonly("is_cpu", &BackendLibrary::is_cpu)
      .def_readonly("fits", &BackendLibrary::fits)
      .def_readonly("score", &BackendLibrary::score)
      .def_readonly("problem", &BackendLibrary::problem)
      .def_readonly("is_loaded", &BackendLibrary::is_loaded);

  module.def("start_llama",
             &start_llama,
             py::arg("library_dir"),
             ReleaseGil(),
             "Start llama.cpp on the CPU; return the backends that were found as files.");
  module.def("find_backend_libraries", &find_backend_libraries, py::arg("folder"), ReleaseGil());
  module.def("load_backend", &load_backend, py::arg("path"), ReleaseGil());

  py::class_<DeviceInfo>(module, "DeviceInfo")
      .def_readonly("name", &DeviceInfo::name)
      .def_readonly("description", &DeviceInfo::description)
      .def_readonly("backend", &DeviceInfo::backend)
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
      "free_memory", &free_memory, ReleaseGil(), "Free physical memory in bytes; 0 = unknown.");
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
