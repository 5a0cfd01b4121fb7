#include "base/shared_library.h"

#ifdef _WIN32
#include <windows.h>

#include <system_error>
#else
#include <dlfcn.h>
#endif

namespace llmlocal {

#ifdef _WIN32

SharedLibrary::SharedLibrary(const std::filesystem::path& path) {
  // No dialog about a library that it needs and that is absent.
  const UINT mode = SetErrorMode(SEM_FAILCRITICALERRORS);
  handle_ = LoadLibraryW(path.c_str());
  const auto error = static_cast<int>(GetLastError());
  SetErrorMode(mode);
  if (!handle_) problem_ = std::system_category().message(error);
}
SharedLibrary::~SharedLibrary() {
  if (handle_) FreeLibrary(static_cast<HMODULE>(handle_));
}

void* SharedLibrary::symbol(const char* name) const {
  if (!handle_) return nullptr;
  return reinterpret_cast<void*>(GetProcAddress(static_cast<HMODULE>(handle_), name));
}

#else

SharedLibrary::SharedLibrary(const std::filesystem::path& path)
    : handle_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (handle_) return;
  const char* reason = dlerror();  // NOLINT(concurrency-mt-unsafe): it is this thread's own
  problem_ = reason ? reason : "it could not be opened";
}
SharedLibrary::~SharedLibrary() {
  if (handle_) dlclose(handle_);
}

void* SharedLibrary::symbol(const char* name) const {
  return handle_ ? dlsym(handle_, name) : nullptr;
}

#endif

}  // namespace llmlocal
