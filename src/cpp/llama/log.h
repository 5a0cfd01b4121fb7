// Collects llama.cpp's log lines, for Python's logging and for the errors of a load.
//
// llama.cpp logs from any thread and at any time, so nothing here calls Python: lines wait in a
// bounded queue until somebody drains it.
#pragma once

#include <string>
#include <vector>

namespace llmlocal {

enum class LogLevel { kDebug = 1, kInfo = 2, kWarning = 3, kError = 4 };

struct LogLine {
  LogLevel level = LogLevel::kInfo;
  std::string text;
};

// Routes llama.cpp's log here; called once.
void install_log_sink();

// Lines below this level are not kept.
void set_log_level(LogLevel level);

// Takes the lines that have come since the last call.
std::vector<LogLine> drain_log();

// While one lives, this thread's lines from the given level on are collected in it instead: for
// calls whose failure is told by an exception, or is no failure to us.
class ErrorLines {
 public:
  explicit ErrorLines(LogLevel from = LogLevel::kError);
  ~ErrorLines();
  ErrorLines(const ErrorLines&) = delete;
  ErrorLines& operator=(const ErrorLines&) = delete;

  // The lines, joined by "; ", without the names of C++ functions in front; empty if none came.
  std::string text() const;

  bool wants(LogLevel level) const { return level >= from_; }
  void add(const std::string& line) { lines_.push_back(line); }

 private:
  LogLevel from_;
  std::vector<std::string> lines_;
  ErrorLines* outer_;
};

}  // namespace llmlocal
