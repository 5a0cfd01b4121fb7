// How much time on CPUs this process has had, and what else it waited for.
#pragma once

#include <optional>

#ifndef _WIN32
#include <sys/resource.h>
#endif

namespace llmlocal {

// What all threads of the process have used since it began.
struct CpuUse {
  double seconds = 0;     // On CPUs.
  long major_faults = 0;  // Waits for a page to come from the disk.
};

// Nothing where the system does not tell.
inline std::optional<CpuUse> process_cpu_use() {
#ifdef _WIN32
  return std::nullopt;
#else
  rusage use{};
  if (getrusage(RUSAGE_SELF, &use) != 0) return std::nullopt;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return CpuUse{seconds(use.ru_utime) + seconds(use.ru_stime), use.ru_majflt};
#endif
}

}  // namespace llmlocal
