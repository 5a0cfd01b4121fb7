#include "llama/backend.h"

#include <ggml-backend.h>
#include <llama.h>

#include <mutex>
#include <shared_mutex>

#include "base/errors.h"
#include "llama/guard.h"
#include "llama/log.h"
#include "llama/own_symbols.h"

namespace llmlocal {
namespace {

std::shared_mutex& registry_mutex() {
  static auto* const mutex = new std::shared_mutex;  // NOLINT(*-owning-memory): outlives all
  return *mutex;
}

thread_local int uses_on_this_thread = 0;

std::string problems_of(const std::vector<BackendLibrary>& libraries) {
  std::string text;
  for (const BackendLibrary& library : libraries) {
    if (library.problem.empty()) continue;
    text += "\n  " + library.path + ": " + library.problem;
  }
  return text;
}

}  // namespace

RegistryUse::RegistryUse() {
  if (uses_on_this_thread == 0) registry_mutex().lock_shared();
  ++uses_on_this_thread;
}
RegistryUse::~RegistryUse() {
  --uses_on_this_thread;
  if (uses_on_this_thread == 0) registry_mutex().unlock_shared();
}

RegistryChange::RegistryChange() {
  if (uses_on_this_thread > 0) {
    throw DeviceError("devices can't be added while this thread loads a model");
  }
  registry_mutex().lock();
  ++uses_on_this_thread;  // A change may walk the list too.
}
RegistryChange::~RegistryChange() {
  --uses_on_this_thread;
  registry_mutex().unlock();
}

const std::vector<BackendLibrary>& start_llama(const std::string& library_dir) {
  static std::once_flag started;
  static std::vector<BackendLibrary> libraries;
  std::call_once(started, [&] {
    require_own_symbols();
    install_abort_handler();
    install_log_sink();
    const RegistryChange change;
    libraries = load_backend_libraries(library_dir);
    // llama_backend_init() would look for backends by itself if it saw none.
    if (!ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU)) {
      throw DeviceError("no CPU backend could be loaded from " + library_dir +
                        "; the installation is damaged: install llmlocal again" +
                        problems_of(libraries));
    }
    llama_backend_init();
  });
  return libraries;
}

void load_backend(const std::string& path) {
  require_own_symbols();
  const RegistryChange change;
  const ErrorLines log(LogLevel::kInfo);
  const bool is_loaded =
      guarded("loading a backend", [&] { return ggml_backend_load(path.c_str()) != nullptr; });
  if (!is_loaded) {
    throw DeviceError(log.text().empty() ? path + " is not a backend of llama.cpp" : log.text());
  }
}

}  // namespace llmlocal
