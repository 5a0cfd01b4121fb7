// Evaluated prefixes kept in RAM, for any later request to adopt.
//
// Least recently used entries go first when the byte budget is full, or when there are
// kMostEntries: all of them are looked through for each request, on the engine's thread.  An entry
// that is a prefix of another and could not serve anything that the other can't is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/decoder.h"

namespace llmlocal {

class PrefixStore {
 public:
  static constexpr std::size_t kMostEntries = 4096;

  struct Entry {
    PrefixKey key;
    StateBlob blob;
    bool serves_others = false;  // It was adopted, or is a checkpoint that others may adopt.
    bool was_offered = false;    // To the disk.
    std::size_t bytes() const { return blob.size + key.bytes(); }
  };

  struct Match {
    const Entry* entry = nullptr;
    Position length = 0;  // Tokens of the prompt that it can stand for.
  };

  explicit PrefixStore(std::size_t budget_bytes) : budget_(budget_bytes) {}

  // The longest usable prefix of `prompt`, at most `limit` tokens.
  Match find(const PrefixView& prompt, Position limit) const;

  // The longest beginning that `prompt` has in common with an entry, usable or not.
  Position parting(const PrefixView& prompt) const;

  // Whether an entry can already serve all that one with this key could.
  bool covers(const PrefixView& key) const;

  // Whether a state of this size may be kept at all.
  bool accepts(std::size_t bytes) const { return bytes <= budget_; }

  // Throws std::bad_alloc where there is no memory for the entry; nothing has changed then.
  void insert(PrefixKey key, StateBlob blob, bool serves_others = false);
  void touch(const Entry* entry);  // It was adopted now.
  // One that is worth a place on the disk and was not offered one yet; it counts as offered then.
  const Entry* next_for_disk();
  void remove(const Entry* entry);
  void clear();

  std::size_t bytes() const { return bytes_; }
  std::size_t budget() const { return budget_; }
  std::size_t size() const { return entries_.size(); }

 private:
  std::list<Entry>::iterator position_of(const Entry* entry);
  void erase(std::list<Entry>::iterator entry);

  std::size_t budget_;
  std::size_t bytes_ = 0;
  std::list<Entry> entries_;  // The most recently used first.
};

}  // namespace llmlocal
