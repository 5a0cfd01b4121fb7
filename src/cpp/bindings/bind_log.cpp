#include "bindings/bindings.h"
#include "bindings/text.h"
#include "llama/log.h"

namespace llmlocal::python {

void bind_log(py::module_& module) {
  py::native_enum<LogLevel>(module, "LogLevel", "enum.IntEnum")
      .value("DEBUG", LogLevel::kDebug)
      .value("INFO", LogLevel::kInfo)
      .value("WARNING", LogLevel::kWarning)
      .value("ERROR", LogLevel::kError)
      .finalize();
  module.def("set_log_level", &set_log_level, py::arg("level"));
  module.def(
      "drain_log",
      [] {
        py::list lines;
        for (const LogLine& line : drain_log()) {
          lines.append(py::make_tuple(line.level, text_of(line.text)));
        }
        return lines;
      },
      "Take the native log lines since the last call: (level, text).");
}

}  // namespace llmlocal::python
