#include "llama/own_symbols.h"

#ifdef __linux__
#include <dlfcn.h>

#include <string>
#include <string_view>

#include "base/errors.h"
#endif

namespace llmlocal {

#ifdef __linux__

void require_own_symbols() {
  Dl_info self{};
  dladdr(reinterpret_cast<void*>(&require_own_symbols), &self);  // NOLINT(*-reinterpret-cast)
  // One from each of the libraries that others are linked with.
  for (const char* name : {"ggml_init", "ggml_backend_load", "llama_backend_init"}) {
    Dl_info info{};
    const void* address = dlsym(RTLD_DEFAULT, name);
    if (!address || dladdr(address, &info) == 0 || !info.dli_fname) continue;
    const std::string_view file(info.dli_fname);
    if (file == self.dli_fname || file.find("-llmlocal.") != std::string_view::npos) continue;
    throw DeviceError("another llama.cpp in this process stands in for llmlocal's: " +
                      std::string(name) + " is global in " + std::string(file) +
                      "; load that without RTLD_GLOBAL or LD_PRELOAD, or use another process");
  }
}

#else

// Elsewhere a library says which one it wants a function from.
void require_own_symbols() {}

#endif

}  // namespace llmlocal
