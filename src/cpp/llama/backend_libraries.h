// The backends that lie as files in the package's own folder.
//
// A portable build has the CPU's kernels many times over, compiled for one kind of CPU each, and
// the best of them for this machine is chosen here; a build for one machine has them linked in.
// ggml could choose too, but it does not say why, gives up if the best one is damaged, and also
// loads whatever the environment variable GGML_BACKEND_PATH names.
#pragma once

#include <string>
#include <vector>

namespace llmlocal {

struct BackendLibrary {
  std::string path;
  bool is_cpu = false;  // One kind of CPU's kernels.
  bool fits = false;    // This machine has all that it needs, as far as it knows itself.
  int score = 0;        // How much of this machine it makes use of, by ggml's count.
  std::string problem;  // Why it could not be loaded, although it should; empty if it could.
  bool is_loaded = false;
};

// What is in the folder: the CPU's first, those that fit before others, the best in front.
std::vector<BackendLibrary> find_backend_libraries(const std::string& folder);

// Loads all backends of the folder, but of the CPU's only the best that can be loaded, and none if
// they are linked in.  The caller holds a RegistryChange.
std::vector<BackendLibrary> load_backend_libraries(const std::string& folder);

}  // namespace llmlocal
