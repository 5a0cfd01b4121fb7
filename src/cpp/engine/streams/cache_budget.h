// Which shapes the cache may have, by the bytes that they take; and what the process's ledger is
// told of them.
#pragma once

#include <cstddef>
#include <limits>
#include <memory>

#include "base/memory_ledger.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/streams/cache_options.h"
#include "engine/streams/cache_shape.h"

namespace llmlocal {

class CacheBudget {
 public:
  CacheBudget(const Decoder& decoder, const CacheOptions& options);

  StreamId most_streams() const { return most_streams_; }
  // Whether a cache of the one shape may become one of the other.
  bool allows(CacheShape now, CacheShape wanted) const;
  // How many streams there may be, as long as they are now.
  StreamId limit(CacheShape now) const;

  // There was no memory for this change: less is tried from now on.
  void refuse(CacheShape now, CacheShape wanted);
  // What was refused may be tried again.
  void forgive() { ceiling_ = kNoCeiling; }

  // Tells the ledger what was taken of what the cache and the store may have.
  void report(CacheShape now, std::size_t store_bytes) const;
  // Nothing will be taken any more.
  void retire() noexcept { promised_.reset(); }

 private:
  static constexpr std::size_t kNoCeiling = std::numeric_limits<std::size_t>::max();

  std::size_t most_bytes(const CacheOptions& options) const;
  std::size_t bytes_of(CacheShape shape) const;
  std::size_t left_for_change(CacheShape now) const;

  const Decoder& decoder_;
  const StreamId most_streams_;
  const std::size_t kv_bytes_;
  // What may be there while the shape changes, the old and the new together: there was no memory
  // for more.
  std::size_t ceiling_ = kNoCeiling;
  const bool kv_in_main_memory_;
  std::unique_ptr<MemoryLedger::Share> promised_;  // Of the main memory.
};

}  // namespace llmlocal
