// How much memory this process could have: of the machine, or of the container that it runs in.
#pragma once

#include <cstddef>
#include <filesystem>

#include "base/memory_reading.h"

namespace llmlocal {

// Read anew at each call; some 50 microseconds.
MemoryReading system_memory();

// The same by the files below `root`, for tests: the machine's are below "/".
MemoryReading linux_memory(const std::filesystem::path& root);

// Bytes that can be taken now; 0 where the system does not tell.
std::size_t free_memory();

// Whether so many of the `free` bytes can be taken, and a little is left for all else that runs.
// True where nothing is known.
constexpr bool fits_in_memory(std::size_t bytes, std::size_t free) {
  return free == 0 || bytes <= free - free / 20;
}

// Bytes that there are in all; 0 where the system does not tell.
std::size_t total_memory();

}  // namespace llmlocal
