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

// Adds a line of our own, if its level is kept.  Any thread.
void add_log_line(LogLevel level, const std::string& text);

// Takes the lines that have come since the last call.
std::vector<LogLine> drain_log();

// While one lives, this thread's lines from the given level on are collected in it instead: for
// calls whose failure is told by an exception, or is no failure to us.
class ErrorLines {
 public:
  // What is to become of a line after it was collected.
  enum class Then { kKeepHere, kPassOn };

  explicit ErrorLines(LogLevel from = LogLevel::kError, Then then = Then::kKeepHere);
  ~ErrorLines();
  ErrorLines(const ErrorLines&) = delete;
  ErrorLines& operator=(const ErrorLines&) = delete;

  // The lines, joined by "; ", without the names of C++ functions in front; empty if none came.
  std::string text() const;

  // Takes the line if it is wanted, here or in a collector outside this one.  True: it goes no
  // further.
  bool take(const LogLine& line);

 private:
  LogLevel from_;
  Then then_;
  std::vector<std::string> lines_;
  ErrorLines* outer_;
};

// Whether llama.cpp's reason for a failure is that memory ran out.
bool speaks_of_memory(const std::string& reason);

}  // namespace llmlocal
