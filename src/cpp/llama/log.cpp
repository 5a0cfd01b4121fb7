#include "llama/log.h"

#include <ggml.h>
#include <llama.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>

namespace llmlocal {
namespace {

constexpr std::size_t kMostLines = 10'000;

class Sink {
 public:
  void add(LogLine line) {
    const std::lock_guard lock(mutex_);
    // The oldest go first: what led to the present trouble is among the newest.
    if (lines_.size() == kMostLines) lines_.pop_front();
    lines_.push_back(std::move(line));
  }

  std::vector<LogLine> drain() {
    const std::lock_guard lock(mutex_);
    std::vector<LogLine> lines(std::make_move_iterator(lines_.begin()),
                               std::make_move_iterator(lines_.end()));
    lines_.clear();
    return lines;
  }

 private:
  std::mutex mutex_;  // Guards lines_.
  std::deque<LogLine> lines_;
};

// Never destroyed: llama.cpp may log while the process ends.
Sink& sink() {
  static auto* const the_sink = new Sink;  // NOLINT(cppcoreguidelines-owning-memory)
  return *the_sink;
}

std::atomic<LogLevel> lowest_kept{LogLevel::kWarning};

// llama.cpp may write one line in several calls.
thread_local LogLine open_line;
thread_local ErrorLines* collecting = nullptr;

LogLevel level_of(ggml_log_level level) {
  switch (level) {
    case GGML_LOG_LEVEL_ERROR:
      return LogLevel::kError;
    case GGML_LOG_LEVEL_WARN:
      return LogLevel::kWarning;
    case GGML_LOG_LEVEL_INFO:
      return LogLevel::kInfo;
    default:
      return LogLevel::kDebug;
  }
}

void finish_line() {
  LogLine line = std::exchange(open_line, {});
  if (line.text.empty()) return;
  if (collecting && collecting->take(line)) return;
  if (line.level >= lowest_kept.load(std::memory_order_relaxed)) sink().add(std::move(line));
}

void on_log(ggml_log_level level, const char* text, void* /*user_data*/) {
  try {
    if (level != GGML_LOG_LEVEL_CONT) {
      finish_line();
      open_line.level = level_of(level);
    }
    for (const char* c = text; *c != '\0'; ++c) {
      if (*c == '\n') {
        const LogLevel same = open_line.level;
        finish_line();
        open_line.level = same;
      } else {
        open_line.text += *c;
      }
    }
  } catch (...) {  // NOLINT(bugprone-empty-catch)
    // Losing a log line is better than unwinding through C.
  }
}

// "llama_model_load: error loading model: x" -> "error loading model: x".
std::string without_function_name(const std::string& line) {
  const std::size_t colon = line.find(": ");
  if (colon == std::string::npos) return line;
  const bool is_name = std::all_of(line.begin(),
                                   line.begin() + static_cast<std::ptrdiff_t>(colon),
                                   [](char c) { return c == '_' || c == ':' || std::isalnum(c); });
  return is_name ? line.substr(colon + 2) : line;
}

}  // namespace

void install_log_sink() {
  llama_log_set(on_log, nullptr);
}

void set_log_level(LogLevel level) {
  lowest_kept = level;
}

void add_log_line(LogLevel level, const std::string& text) {
  if (level >= lowest_kept.load(std::memory_order_relaxed)) sink().add({level, text});
}

std::vector<LogLine> drain_log() {
  return sink().drain();
}

ErrorLines::ErrorLines(LogLevel from, Then then)
    : from_(from), then_(then), outer_(std::exchange(collecting, this)) {}
ErrorLines::~ErrorLines() {
  collecting = outer_;
}

bool ErrorLines::take(const LogLine& line) {
  if (line.level >= from_) {
    lines_.push_back(line.text);
    if (then_ == Then::kKeepHere) return true;
  }
  return outer_ != nullptr && outer_->take(line);
}

std::string ErrorLines::text() const {
  std::string text;
  for (const std::string& line : lines_) {
    if (!text.empty()) text += "; ";
    text += without_function_name(line);
  }
  return text;
}

bool speaks_of_memory(const std::string& reason) {
  for (const char* words : {"unable to allocate",
                            "failed to allocate",
                            "out of memory",
                            "insufficient memory",
                            "bad_alloc"}) {
    if (reason.find(words) != std::string::npos) return true;
  }
  return false;
}

}  // namespace llmlocal
