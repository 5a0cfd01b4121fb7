#include "base/memory_ledger.h"

#include <algorithm>
#include <cstdint>

namespace llmlocal {

std::shared_ptr<MemoryLedger> MemoryLedger::of_process() {
  static const auto ledger = std::make_shared<MemoryLedger>();
  return ledger;
}

std::unique_ptr<MemoryLedger::Share> MemoryLedger::promise(
    const std::shared_ptr<MemoryLedger>& ledger, std::size_t bytes) {
  const std::lock_guard lock(ledger->mutex_);
  std::unique_ptr<Share> share(new Share(ledger, ledger->next_id_++));  // NOLINT(*-owning-memory)
  // No machine has more, and the sum of them all is a number still.
  ledger->entries_[share->id_].promised = std::min(bytes, SIZE_MAX >> 16);
  return share;
}

MemoryLedger::Share::~Share() {
  const std::lock_guard lock(ledger_->mutex_);
  ledger_->entries_.erase(id_);
}

void MemoryLedger::Share::set_taken(std::size_t bytes) {
  const std::lock_guard lock(ledger_->mutex_);
  ledger_->entries_.at(id_).taken = bytes;
}

std::size_t MemoryLedger::promised() const {
  const std::lock_guard lock(mutex_);
  std::size_t sum = 0;
  for (const auto& [id, entry] : entries_) {
    sum += entry.promised > entry.taken ? entry.promised - entry.taken : 0;
  }
  return sum;
}

std::size_t MemoryLedger::spare(std::size_t free) const {
  const std::size_t others = promised();
  return free > others ? free - others : 0;
}

}  // namespace llmlocal
