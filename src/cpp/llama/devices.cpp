#include "llama/devices.h"

#include <ggml-backend.h>
#include <llama.h>

#include <string_view>

#include "base/errors.h"
#include "llama/backend.h"
#include "llama/guard.h"

namespace llmlocal {
namespace {

const char* type_name(enum ggml_backend_dev_type type) {
  switch (type) {
    case GGML_BACKEND_DEVICE_TYPE_CPU:
      return "cpu";
    case GGML_BACKEND_DEVICE_TYPE_GPU:
      return "gpu";
    case GGML_BACKEND_DEVICE_TYPE_IGPU:
      return "igpu";
    default:
      return "accel";
  }
}

std::string text(const char* value) {
  return value ? value : "";
}

}  // namespace

DeviceInfo describe_device(ggml_backend_dev_t device) {
  ggml_backend_dev_props props{};
  ggml_backend_dev_get_props(device, &props);
  DeviceInfo info;
  info.name = text(props.name);
  info.description = text(props.description);
  info.backend = text(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
  info.type = type_name(props.type);
  info.pci_id = text(props.device_id);
  info.memory_free = props.memory_free;
  info.memory_total = props.memory_total;
  return info;
}

std::vector<DeviceInfo> list_devices() {
  const RegistryUse use;
  return guarded("listing devices", [] {
    std::vector<DeviceInfo> devices;
    for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
      ggml_backend_dev_t device = ggml_backend_dev_get(i);
      const std::string backend = text(ggml_backend_reg_name(ggml_backend_dev_backend_reg(device)));
      if (backend != "RPC") devices.push_back(describe_device(device));
    }
    return devices;
  });
}

std::vector<ggml_backend_dev_t> find_devices(const std::vector<std::string>& names) {
  const RegistryUse use;
  std::vector<ggml_backend_dev_t> devices;
  for (const std::string& name : names) {
    ggml_backend_dev_t device = ggml_backend_dev_by_name(name.c_str());
    if (!device) throw DeviceError("no device '" + name + "' here");
    devices.push_back(device);
  }
  return devices;
}

std::string system_info() {
  const RegistryUse use;
  return llama_print_system_info();
}

std::string own_kernels() {
  constexpr std::string_view kMark = "llmlocal ";
  const RegistryUse use;
  ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  if (!cpu) return {};
  const auto list =
      reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
  if (!list) return {};
  for (const auto* type = list(cpu); type != nullptr && *type != nullptr; ++type) {
    const std::string_view name = ggml_backend_buft_name(*type);
    if (name.starts_with(kMark)) return std::string(name.substr(kMark.size()));
  }
  return {};
}

}  // namespace llmlocal
