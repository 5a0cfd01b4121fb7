// How much time on CPUs this process has had.
#pragma once

#ifndef _WIN32
#include <ctime>
#endif

namespace llmlocal {

// Seconds that all threads of the process have run, together; 0 where the system does not tell.
inline double process_cpu_seconds() {
#ifdef _WIN32
  return 0;
#else
  timespec time{};
  if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) != 0) return 0;
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
#endif
}

}  // namespace llmlocal
