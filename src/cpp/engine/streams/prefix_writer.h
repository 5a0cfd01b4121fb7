// Writes prefixes to disk on a thread of its own, so that nobody waits for the disk.
//
// It takes little at a time: what it has no place for is offered again later, or is lost.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "base/prefix_key.h"
#include "engine/decoder.h"
#include "engine/streams/prefix_files.h"

namespace llmlocal {

class PrefixWriter {
 public:
  explicit PrefixWriter(std::shared_ptr<PrefixFiles> files);
  ~PrefixWriter();  // Writes what it has taken.
  PrefixWriter(const PrefixWriter&) = delete;
  PrefixWriter& operator=(const PrefixWriter&) = delete;

  // Whether it would take an entry now.
  bool has_place() const;
  // Blocks until it would.
  void wait_for_place();
  void take(PrefixKey key, StateBlob blob);

 private:
  static constexpr std::size_t kMostWaiting = 2;  // Each may be hundreds of megabytes.

  struct Entry {
    PrefixKey key;
    StateBlob blob;
  };
  void run() noexcept;

  const std::shared_ptr<PrefixFiles> files_;
  mutable std::mutex mutex_;  // Guards waiting_ and closing_.
  std::condition_variable changed_;
  std::deque<Entry> waiting_;
  bool closing_ = false;
  std::thread thread_;  // The last member: it uses all others.
};

}  // namespace llmlocal
