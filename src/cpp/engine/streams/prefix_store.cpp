#include "engine/streams/prefix_store.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "engine/streams/stream_choice.h"

namespace llmlocal {

PrefixStore::Match PrefixStore::find(const PrefixView& prompt, Position limit) const {
  Match best;
  for (const Entry& entry : entries_) {
    const Position length = usable_prefix(entry.key, entry.blob.floor, prompt, limit);
    if (length > best.length) best = {&entry, length};
  }
  return best;
}

Position PrefixStore::parting(const PrefixView& prompt) const {
  Position longest = 0;
  for (const Entry& entry : entries_) {
    longest = std::max(longest, common_prefix(entry.key, prompt));
  }
  return longest;
}

bool PrefixStore::covers(const PrefixView& key) const {
  const auto length = static_cast<Position>(key.size());
  return std::ranges::any_of(entries_, [&](const Entry& entry) {
    return entry.blob.floor <= length && common_prefix(entry.key, key) == length;
  });
}

void PrefixStore::insert(PrefixKey key, StateBlob blob, bool serves_others) {
  // First of all its place in memory: from then on nothing can fail.
  std::list<Entry> inserted;
  inserted.push_back({std::move(key), std::move(blob), serves_others});
  const Entry& entry = inserted.front();
  if (entry.bytes() > budget_) return;
  // What the new entry covers is no longer needed.
  for (auto old = entries_.begin(); old != entries_.end();) {
    const auto next = std::next(old);
    const auto length = static_cast<Position>(old->key.size());
    if (entry.blob.floor <= length && common_prefix(old->key, entry.key) == length) {
      erase(old);
    }
    old = next;
  }
  while (bytes_ + entry.bytes() > budget_ || entries_.size() >= kMostEntries) {
    erase(std::prev(entries_.end()));
  }
  bytes_ += entry.bytes();
  entries_.splice(entries_.begin(), inserted);
}

void PrefixStore::touch(const Entry* entry) {
  const auto place = position_of(entry);
  place->serves_others = true;
  entries_.splice(entries_.begin(), entries_, place);
}

const PrefixStore::Entry* PrefixStore::next_for_disk() {
  for (Entry& entry : entries_) {
    if (entry.serves_others && !entry.was_offered) {
      entry.was_offered = true;
      return &entry;
    }
  }
  return nullptr;
}

void PrefixStore::remove(const Entry* entry) {
  erase(position_of(entry));
}

void PrefixStore::clear() {
  entries_.clear();
  bytes_ = 0;
}

std::list<PrefixStore::Entry>::iterator PrefixStore::position_of(const Entry* entry) {
  return std::ranges::find_if(entries_, [&](const Entry& each) { return &each == entry; });
}

void PrefixStore::erase(std::list<Entry>::iterator entry) {
  bytes_ -= entry->bytes();
  entries_.erase(entry);
}

}  // namespace llmlocal
