#include "engine/streams/cache_budget.h"

#include <algorithm>

namespace llmlocal {

CacheBudget::CacheBudget(const Decoder& decoder, const CacheOptions& options)
    : decoder_(decoder),
      most_streams_(std::min(options.max_streams, static_cast<StreamId>(decoder.batch_capacity()))),
      kv_bytes_(options.kv_bytes),
      kv_in_main_memory_(options.kv_in_main_memory),
      promised_(MemoryLedger::promise(MemoryLedger::of_process(), most_bytes(options))) {}

// What the cache and the store may come to take of the main memory.
std::size_t CacheBudget::most_bytes(const CacheOptions& options) const {
  const std::size_t most = bytes_of({most_streams_, decoder_.context_length()});
  return options.store_bytes + (kv_in_main_memory_ ? std::min(most, kv_bytes_) : 0);
}

std::size_t CacheBudget::bytes_of(CacheShape shape) const {
  return static_cast<std::size_t>(shape.streams) *
         std::max<std::size_t>(decoder_.stream_bytes(shape.room), 1);
}

// How much a new shape may take beside the one that is there.
std::size_t CacheBudget::left_for_change(CacheShape now) const {
  const std::size_t there = bytes_of(now);
  return ceiling_ > there ? ceiling_ - there : 0;
}

bool CacheBudget::allows(CacheShape now, CacheShape wanted) const {
  if (wanted.streams <= now.streams && wanted.room <= now.room) return true;
  if (wanted.streams > most_streams_) return false;
  const std::size_t bytes = bytes_of(wanted);
  return bytes <= left_for_change(now) && (wanted.streams == 1 || bytes <= kv_bytes_);
}

StreamId CacheBudget::limit(CacheShape now) const {
  const std::size_t fit = std::min(left_for_change(now), kv_bytes_) / bytes_of({1, now.room});
  const auto most = static_cast<std::size_t>(most_streams_);
  return std::max(now.streams, static_cast<StreamId>(std::min(fit, most)));
}

// Less at a time is slower, not wrong; and the next request need not try the same again.
void CacheBudget::refuse(CacheShape now, CacheShape wanted) {
  ceiling_ = bytes_of(now) + bytes_of(wanted) / 2;
}

void CacheBudget::report(CacheShape now, std::size_t store_bytes) const {
  if (!promised_) return;
  const std::size_t kv = kv_in_main_memory_ ? std::min(bytes_of(now), kv_bytes_) : 0;
  promised_->set_taken(kv + store_bytes);
}

}  // namespace llmlocal
