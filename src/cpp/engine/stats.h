// A snapshot of what the engine holds and has done since it started.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/token.h"

namespace llmlocal {

struct EngineStats {
  // Now.
  StreamId streams = 0;          // Allocated in the KV cache.
  StreamId streams_active = 0;   // With a request running in them.
  StreamId streams_limit = 0;    // How many there may be.
  Position stream_tokens = 0;    // That each has room for.
  std::size_t stream_bytes = 0;  // Memory of one.
  std::size_t waiting = 0;       // Requests that wait for a stream or for a shared prefix.
  std::size_t store_bytes = 0;   // RAM that holds evicted prefixes.
  std::size_t store_budget = 0;
  std::size_t store_entries = 0;
  int threads = 0;               // In use for the last step.
  std::size_t disk_entries = 0;  // Prefixes of this model in the folder, as last seen.

  // Since the start.
  std::uint64_t requests = 0;
  std::uint64_t steps = 0;
  std::uint64_t prompt_tokens = 0;      // Evaluated.
  std::uint64_t cached_tokens = 0;      // Adopted instead of evaluated.
  std::uint64_t completion_tokens = 0;  // Sampled.
  std::uint64_t prefix_hits = 0;        // Requests that adopted a prefix.
  std::uint64_t disk_hits = 0;          // Of these, from a file.
  std::uint64_t disk_tokens = 0;        // Tokens that these adopted.
  std::uint64_t disk_read_bytes = 0;
  std::uint64_t disk_written_bytes = 0;
};

}  // namespace llmlocal
