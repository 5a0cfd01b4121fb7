// The compute devices that llama.cpp sees.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

struct ggml_backend_device;

namespace llmlocal {

struct DeviceInfo {
  std::string name;              // What llama.cpp calls it: "CUDA0", "Vulkan1", "CPU".
  std::string description;       // What its maker calls it.
  std::string backend;           // "CUDA", "Vulkan", "Metal", "RPC", "CPU", "BLAS", ...
  std::string type;              // "cpu", "gpu", "igpu" or "accel".
  std::string pci_id;            // "0000:c1:00.0"; empty where there is none.
  std::size_t memory_free = 0;   // Bytes.
  std::size_t memory_total = 0;  // Bytes.
};

// The devices of this machine, in llama.cpp's order; the figures are those of now.  Remote ones are
// told by rpc_devices(), since asking for their figures is a request to a server.
std::vector<DeviceInfo> list_devices();

DeviceInfo describe_device(ggml_backend_device* device);

// The devices of these names.  Throws DeviceError for one that is not there.
std::vector<ggml_backend_device*> find_devices(const std::vector<std::string>& names);

// What the loaded backends were built with and found on this machine: "CPU : AVX2 = 1 | ...".
std::string system_info();

// The instructions that our own CPU kernels (src/cpp/kernels) are compiled for, "AVX-512 VNNI";
// empty where the loaded backend was built without them, or they are switched off.
std::string own_kernels();

}  // namespace llmlocal
