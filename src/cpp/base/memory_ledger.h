// What the models of this process have been promised of its memory and have not taken yet.
//
// The system knows what was taken.  It does not know that a cache may still grow to its budget, nor
// that a mapped file, which it would give up for others, is the weights of a model in use.  So a
// model that is opened second must not count on either.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

namespace llmlocal {

class MemoryLedger {
 public:
  // One model's, or one cache's; it ends with the object.  Any thread.
  class Share {
   public:
    ~Share();
    Share(const Share&) = delete;
    Share& operator=(const Share&) = delete;

    // Of the `promised` bytes so many have been taken, as the system sees for itself.
    void set_taken(std::size_t bytes);

   private:
    friend class MemoryLedger;
    Share(std::shared_ptr<MemoryLedger> ledger, std::uint64_t id)
        : ledger_(std::move(ledger)), id_(id) {}

    std::shared_ptr<MemoryLedger> ledger_;
    std::uint64_t id_;
  };

  static std::shared_ptr<MemoryLedger> of_process();

  // `ledger` keeps itself alive for its shares.
  static std::unique_ptr<Share> promise(const std::shared_ptr<MemoryLedger>& ledger,
                                        std::size_t bytes);

  // Bytes that are promised and not taken.
  std::size_t promised() const;

  // Of `free` bytes, those that nobody has been promised.
  std::size_t spare(std::size_t free) const;

 private:
  struct Entry {
    std::size_t promised = 0;
    std::size_t taken = 0;
  };

  mutable std::mutex mutex_;  // Guards everything below.
  std::map<std::uint64_t, Entry> entries_;
  std::uint64_t next_id_ = 0;
};

}  // namespace llmlocal
