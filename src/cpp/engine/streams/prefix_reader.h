// Reads prefix files in a thread of its own, so that no running answer waits for a disk.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/streams/prefix_files.h"

namespace llmlocal {

// One file on its way into memory.  Who waits for it holds it; one that nobody holds any more is
// not read.
class PrefixReading {
 public:
  PrefixReading(PrefixFiles::Match match, const PrefixView& prompt)
      : match_(std::move(match)), prompt_(prompt) {}

  const std::string& name() const { return match_.name; }
  Position length() const { return match_.length; }  // Tokens of the prompt that it stands for.
  bool is_done() const { return done_.load(std::memory_order_acquire); }
  // Once it is done.  Nothing: the file was of no use.
  const std::optional<StateBlob>& blob() const { return blob_; }

 private:
  friend class PrefixReader;
  const PrefixFiles::Match match_;
  const PrefixKey prompt_;
  std::optional<StateBlob> blob_;  // The reader's until it is done.
  std::atomic<bool> done_{false};
};

class PrefixReader {
 public:
  // The reader calls `on_read` after each file.
  PrefixReader(std::shared_ptr<PrefixFiles> files, std::function<void()> on_read);
  ~PrefixReader();  // Returns when the one in hand is read.
  PrefixReader(const PrefixReader&) = delete;
  PrefixReader& operator=(const PrefixReader&) = delete;

  // Throws std::bad_alloc.
  std::shared_ptr<PrefixReading> start(PrefixFiles::Match match, const PrefixView& prompt);
  // Whether somebody waits for this file, or has it and did not adopt it yet.
  bool is_under_way(const std::string& name) const;

 private:
  void run() noexcept;
  std::shared_ptr<PrefixReading> next_locked();

  const std::shared_ptr<PrefixFiles> files_;
  const std::function<void()> on_read_;
  mutable std::mutex mutex_;  // Guards everything below.
  std::condition_variable changed_;
  std::list<std::weak_ptr<PrefixReading>> readings_;  // Also those that are done.
  bool closing_ = false;
  std::thread thread_;  // The last member: it uses all others.
};

}  // namespace llmlocal
