// Finds, among any number of entries, those whose texts begin as another one does.  What that takes
// depends on the length of the texts, not on how many there are.
//
// A node stands for a beginning of texts: one at which two of them part, or that is all of one.  It
// has no copy of the cells, as each entry below it has them; so a walk down looks only at the cells
// where texts part, and then once at a whole text.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <vector>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/streams/prefix_entry.h"

namespace llmlocal {

class PrefixTree {
 public:
  struct Match {
    const PrefixEntry* entry = nullptr;
    Position length = 0;  // Cells of the text that it can stand for.
  };

  // The entry that stands for the longest beginning of `text`, of at most `limit` cells, by
  // itself or with a part.  Of several the shortest, which is the quickest to restore.
  Match find(const PrefixView& text, Position limit) const;

  // The parts of beginnings of `text` of at most `limit` cells, the shortest first.
  std::vector<const PrefixEntry*> parts_of(const PrefixView& text, Position limit) const;

  // The longest beginning that `text` has in common with an entry, usable or not.
  Position common(const PrefixView& text) const;

  // The longest other entry, no part, to whose text this one can be cut back; nothing for a part.
  const PrefixEntry* longest_within(const PrefixEntry& entry) const;

  // It stays where it is until it is erased.  Returns the entry of the same kind that had the same
  // text, and is not in it any more.  Throws std::bad_alloc; nothing has changed then.
  const PrefixEntry* insert(const PrefixEntry& entry);
  void erase(const PrefixEntry& entry) noexcept;

 private:
  // What is in one place of a text: a token, or a whole piece.
  struct Cell {
    AdapterSet adapters;
    Token token;
    Position cells;
    std::uint64_t hash;
    auto operator<=>(const Cell&) const = default;
  };
  struct Node {
    using Children = std::map<Cell, std::unique_ptr<Node>>;  // By what follows.

    Node* parent = nullptr;
    Position depth = 0;                  // Cells of the beginning.
    const PrefixEntry* entry = nullptr;  // Whose text this is.
    const PrefixEntry* part = nullptr;   // The same for a part.
    const PrefixEntry* best = nullptr;   // Of those here and below, by comes_before().
    Children children;

    const PrefixEntry*& of_kind(const PrefixEntry& one) { return one.is_part ? part : entry; }
    bool is_empty() const { return entry == nullptr && part == nullptr; }
    void choose_best() noexcept;
  };
  // All below the node have `length` cells in common with a text, and none more.
  struct Place {
    Node* node = nullptr;
    Position length = 0;
  };

  static Cell cell_at(const PrefixView& text, Position place);
  static bool comes_before(const PrefixEntry& entry, const PrefixEntry& other);
  static std::unique_ptr<Node>& slot_of(const Node& node);  // Where its parent has it.
  static Node* append(Node& node, const PrefixEntry& entry);
  static Node* fork(Node& node, Position depth, const PrefixEntry& entry);
  static Node* pull_up_child(Node& node) noexcept;
  Node* descend(const PrefixView& text) const;
  Place place_of(const PrefixView& text,
                 Position limit = std::numeric_limits<Position>::max()) const;

  std::unique_ptr<Node> root_ = std::make_unique<Node>();
};

}  // namespace llmlocal
