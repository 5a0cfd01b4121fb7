// The process-wide start of llama.cpp: once, lazily, from our own folder only.
#pragma once

#include <string>
#include <vector>

namespace llmlocal {

// Starts llama.cpp with the backends in `library_dir` and those at the paths `plugins`; the first
// call counts.  Returns what could not be loaded, a line each, on every call.
const std::vector<std::string>& start_backends(const std::string& library_dir,
                                               const std::vector<std::string>& plugins);

}  // namespace llmlocal
