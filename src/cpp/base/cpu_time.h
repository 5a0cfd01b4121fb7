// How much time on CPUs this process has had.
#pragma once

#include <optional>

#ifndef _WIN32
#include <ctime>
#endif

namespace llmlocal {

// Seconds that all threads of the process have run, together; nothing where the system does not
// tell.
inline std::optional<double> process_cpu_seconds() {
#ifdef _WIN32
  return std::nullopt;
#else
  timespec time{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) return std::nullopt;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
#endif
}

}  // namespace llmlocal
