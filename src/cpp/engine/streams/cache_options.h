// What a caller may say of the cache.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/token.h"
#include "engine/streams/prefix_files.h"

namespace llmlocal {

struct CacheOptions {
  StreamId max_streams = 8;     // Requests that run at once; more wait. 1 to 256.
  std::size_t kv_bytes = 0;     // What all streams together may take; one is always there.
  std::size_t store_bytes = 0;  // RAM for evicted prefixes; 0 = none are kept.
  bool kv_in_main_memory = true;
  // Prefixes on disk; none = they end with the process.
  std::shared_ptr<PrefixFiles> files = nullptr;
  // Called by a thread of the cache's when something was read from disk.
  std::function<void()> on_read = [] {};
};

}  // namespace llmlocal
