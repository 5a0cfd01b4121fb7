#include "engine/streams/prefix_store.h"

#include <iterator>
#include <utility>

namespace llmlocal {

bool PrefixStore::covers(const PrefixView& key) const {
  const auto length = static_cast<Position>(key.size());
  return find(key, length).length == length;
}

std::vector<StateBlob> PrefixStore::parts_of(const PrefixView& prompt, Position limit) const {
  std::vector<StateBlob> parts;
  for (const Entry* each : tree_.parts_of(prompt, limit)) parts.push_back(each->blob);
  return parts;
}

void PrefixStore::insert(Entry entry) {
  // First of all its place in memory: from then on nothing can fail.
  Entries inserted;
  const std::uint64_t now = clock_ + 1;
  entry.last_used = now;
  const Entry& added = inserted.emplace(now, std::move(entry)).first->second;
  if (added.bytes() > budget_) return;
  if (const Entry* const same = tree_.insert(added)) forget(*same);
  // What the new entry covers is no longer needed.
  while (const Entry* const old = tree_.longest_within(added)) erase(*old);
  while (bytes_ + added.bytes() > budget_) erase(entries_.begin()->second);
  clock_ = now;
  bytes_ += added.bytes();
  entries_.insert(inserted.extract(now));
}

void PrefixStore::touch(const Entry& entry) {
  Entries::node_type node = entries_.extract(entry.last_used);
  node.key() = ++clock_;
  node.mapped().last_used = clock_;
  node.mapped().serves_others = true;
  entries_.insert(std::move(node));
}

void PrefixStore::touch_parts(const PrefixView& text) {
  const std::vector<const Entry*> parts = tree_.parts_of(text, static_cast<Position>(text.size()));
  if (!parts.empty()) touch(*parts.front());
  if (parts.size() > 1) touch(*parts.back());
}

const PrefixStore::Entry* PrefixStore::next_for_disk() {
  for (auto each = entries_.upper_bound(looked_at_); each != entries_.end(); ++each) {
    Entry& entry = each->second;
    looked_at_ = entry.last_used;
    if (entry.serves_others && !entry.is_part && !entry.was_offered) {
      entry.was_offered = true;
      return &entry;
    }
  }
  return nullptr;
}

// One by one: to destroy a deep tree at once would take as deep a stack.
void PrefixStore::clear() noexcept {
  while (!entries_.empty()) erase(entries_.begin()->second);
}

void PrefixStore::erase(const Entry& entry) noexcept {
  tree_.erase(entry);
  forget(entry);
}

void PrefixStore::forget(const Entry& entry) noexcept {
  bytes_ -= entry.bytes();
  entries_.erase(entries_.find(entry.last_used));
}

}  // namespace llmlocal
