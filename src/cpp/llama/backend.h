// The process-wide start of llama.cpp, in two steps: the CPU, and whatever may wake a GPU driver.
//
// Backends come from paths that the caller gives and from nowhere else: ggml's own search would
// also look into the current directory.
#pragma once

#include <string>
#include <vector>

#include "llama/backend_libraries.h"

namespace llmlocal {

// Starts llama.cpp with the CPU's backend, and others that touch no hardware, from `library_dir`;
// the first call counts.  Returns what was found there.  Throws DeviceError if there is no backend
// for this CPU, or another llama.cpp in the way.
const std::vector<BackendLibrary>& start_llama(const std::string& library_dir);

// Adds the backend in a shared library.  Throws DeviceError with the reason if it is none, or not
// for this machine.
void load_backend(const std::string& path);

// ggml's list of devices has no lock of its own: whoever walks it holds one of these, and whoever
// adds to it a RegistryChange.  A thread may nest uses; a change inside a use throws DeviceError.
class RegistryUse {
 public:
  RegistryUse();
  ~RegistryUse();
  RegistryUse(const RegistryUse&) = delete;
  RegistryUse& operator=(const RegistryUse&) = delete;
};

class RegistryChange {
 public:
  RegistryChange();
  ~RegistryChange();
  RegistryChange(const RegistryChange&) = delete;
  RegistryChange& operator=(const RegistryChange&) = delete;
};

}  // namespace llmlocal
