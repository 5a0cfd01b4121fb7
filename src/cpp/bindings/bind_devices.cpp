#include "bindings/bindings.h"
#include "llama/backend.h"
#include "llama/devices.h"

namespace llmlocal::python {

void bind_devices(py::module_& module) {
  module.def("start_backends",
             &start_backends,
             py::arg("library_dir"),
             py::arg("plugins"),
             ReleaseGil(),
             "Start llama.cpp once; return what could not be loaded.");

  py::class_<DeviceInfo>(module, "DeviceInfo")
      .def_readonly("name", &DeviceInfo::name)
      .def_readonly("description", &DeviceInfo::description)
      .def_readonly("backend", &DeviceInfo::backend)
      .def_readonly("type", &DeviceInfo::type)
      .def_readonly("pci_id", &DeviceInfo::pci_id)
      .def_readonly("memory_free", &DeviceInfo::memory_free)
      .def_readonly("memory_total", &DeviceInfo::memory_total);

  module.def("list_devices", &list_devices, ReleaseGil());
  module.def("free_memory", &free_memory, "Free physical memory in bytes; 0 = unknown.");
}

}  // namespace llmlocal::python
