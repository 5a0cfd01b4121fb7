// Evaluated prefixes kept in RAM, for any later request to adopt.
//
// Least recently used entries go first when the byte budget is full.  An entry that is a prefix of
// another and could not serve anything that the other can't is dropped.  Parts of states are
// entries among the others, and serve only together with a state of a text that begins with theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/decoder.h"
#include "engine/streams/prefix_entry.h"
#include "engine/streams/prefix_tree.h"

namespace llmlocal {

class PrefixStore {
 public:
  using Entry = PrefixEntry;
  using Match = PrefixTree::Match;

  explicit PrefixStore(std::size_t budget_bytes) : budget_(budget_bytes) {}
  ~PrefixStore() { clear(); }
  PrefixStore(const PrefixStore&) = delete;
  PrefixStore& operator=(const PrefixStore&) = delete;

  // The longest usable prefix of `prompt`, at most `limit` tokens.
  Match find(const PrefixView& prompt, Position limit) const { return tree_.find(prompt, limit); }

  // The parts that were kept at most `limit` tokens into `prompt`, the shortest first.
  std::vector<StateBlob> parts_of(const PrefixView& prompt, Position limit) const;

  // The longest beginning that `prompt` has in common with an entry, usable or not.
  Position parting(const PrefixView& prompt) const { return tree_.common(prompt); }

  // Whether an entry can already serve all that one with this key could.
  bool covers(const PrefixView& key) const;

  // Whether a state of this size may be kept at all.
  bool accepts(std::size_t bytes) const { return bytes <= budget_; }

  // Throws std::bad_alloc where there is no memory for the entry; nothing has changed then.
  void insert(Entry entry);
  void touch(const Entry& entry);  // It was adopted now.
  // The same for two of the parts along this text: the first, with which others begin too, and the
  // last.  So what every turn of a conversation stands on does not age while it goes on.
  void touch_parts(const PrefixView& text);
  // One that is worth a place on the disk and was not offered one yet; it counts as offered then.
  // The least recently used first.
  const Entry* next_for_disk();
  void remove(const Entry& entry) { erase(entry); }
  void clear() noexcept;

  std::size_t bytes() const { return bytes_; }
  std::size_t budget() const { return budget_; }
  std::size_t size() const { return entries_.size(); }

 private:
  // By when they were last used.
  using Entries = std::map<std::uint64_t, Entry>;

  void erase(const Entry& entry) noexcept;
  void forget(const Entry& entry) noexcept;

  std::size_t budget_;
  std::size_t bytes_ = 0;
  std::uint64_t clock_ = 0;
  std::uint64_t looked_at_ = 0;  // What was used before, next_for_disk() has seen.
  Entries entries_;
  PrefixTree tree_;  // Of all entries.
};

}  // namespace llmlocal
