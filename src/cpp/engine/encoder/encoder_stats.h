// A snapshot of what an encoder engine holds and has done since it started.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmlocal {

struct EncoderStats {
  std::size_t waiting = 0;  // Texts that wait.
  int threads = 0;          // In use for the last batch.

  // Since the start.
  std::uint64_t batches = 0;
  std::uint64_t texts = 0;   // Evaluated.
  std::uint64_t tokens = 0;  // Evaluated.
};

}  // namespace llmlocal
