#include "llama/backend_libraries.h"

#include <ggml-backend.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <tuple>

#include "base/shared_library.h"
#include "llama/guard.h"
#include "llama/log.h"

namespace llmlocal {
namespace {

namespace fs = std::filesystem;

#ifdef _WIN32
constexpr std::string_view kPrefix = "ggml-";
constexpr std::string_view kSuffix = ".dll";
#else
constexpr std::string_view kPrefix = "libggml-";
constexpr std::string_view kSuffix = ".so";  // Of modules on macOS too.
#endif

fs::path from_utf8(const std::string& text) {
  return {std::u8string(text.begin(), text.end())};
}

std::string to_utf8(const fs::path& path) {
  const std::u8string text = path.u8string();
  return {text.begin(), text.end()};
}

// "libggml-cpu-haswell.so" -> "cpu-haswell"; empty for what is no backend.
std::string_view backend_name(std::string_view file) {
  if (!file.starts_with(kPrefix) || !file.ends_with(kSuffix)) return {};
  file.remove_prefix(kPrefix.size());
  file.remove_suffix(kSuffix.size());
  // Libraries that the extension is linked with bear our name.
  return file.ends_with("llmlocal") ? std::string_view() : file;
}

// Asks the library itself what it is worth on this machine.
void rate(BackendLibrary& library) {
  const SharedLibrary opened(from_utf8(library.path));
  library.problem = opened.problem();
  if (!library.problem.empty()) return;
  // A library without this function runs anywhere.
  auto* score = reinterpret_cast<int (*)()>(  // NOLINT(*-reinterpret-cast)
      opened.symbol("ggml_backend_score"));
  if (score) library.score = score();
  library.fits = score == nullptr || library.score > 0;
}

void load(BackendLibrary& library) {
  const ErrorLines log(LogLevel::kInfo);
  library.is_loaded = guarded("loading a backend",
                              [&] { return ggml_backend_load(library.path.c_str()) != nullptr; });
  if (library.is_loaded) return;
  library.problem = log.text().empty() ? "it is not a backend of llama.cpp" : log.text();
}

}  // namespace

std::vector<BackendLibrary> find_backend_libraries(const std::string& folder) {
  std::vector<BackendLibrary> libraries;
  std::error_code no_folder;
  for (const fs::directory_entry& file : fs::directory_iterator(from_utf8(folder), no_folder)) {
    const std::string path = to_utf8(file.path());
    const std::string name = to_utf8(file.path().filename());
    if (backend_name(name).empty() || !file.is_regular_file()) continue;
    BackendLibrary& library = libraries.emplace_back();
    library.path = path;
    library.is_cpu = backend_name(name).starts_with("cpu");
    rate(library);
  }
  std::ranges::sort(libraries, {}, [](const BackendLibrary& library) {
    return std::tuple(
        !library.is_cpu, !library.fits, -library.score, std::string_view(library.path));
  });
  return libraries;
}

std::vector<BackendLibrary> load_backend_libraries(const std::string& folder) {
  std::vector<BackendLibrary> libraries = find_backend_libraries(folder);
  bool has_cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU) != nullptr;
  for (BackendLibrary& library : libraries) {
    if (!library.fits || (library.is_cpu && has_cpu)) continue;
    load(library);
    has_cpu = has_cpu || (library.is_cpu && library.is_loaded);
  }
  return libraries;
}

}  // namespace llmlocal
