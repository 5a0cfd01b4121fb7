#include "llama/backend.h"

#include <ggml-backend.h>
#include <llama.h>

#include <mutex>

#include "llama/guard.h"
#include "llama/log.h"

namespace llmlocal {

const std::vector<std::string>& start_backends(const std::string& library_dir,
                                               const std::vector<std::string>& plugins) {
  static std::once_flag started;
  static std::vector<std::string> problems;
  std::call_once(started, [&] {
    install_abort_handler();
    install_log_sink();
    // A build with the CPU kernels linked in has registered them by now.  Anything else is taken
    // from the given folder: ggml's own search would also look into the current directory.
    const ErrorLines errors;
    ggml_backend_load_all_from_path(library_dir.c_str());
    if (!errors.text().empty()) problems.push_back(errors.text());
    for (const std::string& plugin : plugins) {
      const ErrorLines why;
      if (ggml_backend_load(plugin.c_str()) == nullptr) {
        problems.push_back(plugin + ": " + (why.text().empty() ? "not a backend" : why.text()));
      }
    }
    llama_backend_init();
  });
  return problems;
}

}  // namespace llmlocal
