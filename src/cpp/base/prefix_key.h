// What an evaluated state stands for: the key by which prefixes are found, in the cache, in RAM and
// on disk.
//
// A text is a row of cells.  Most are tokens; a piece of something else, such as an image, takes
// several of them and is known by the hash of its content.  States of the same cells differ where
// they were evaluated with different adapters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "base/token.h"

namespace llmlocal {

inline constexpr Token kNoToken = -1;  // What stands in the cells of a piece.

// Cells that are no tokens.  It is whole or not there: nothing can be cut inside of it.
struct Piece {
  Position first = 0;      // Its first cell, counted from the beginning of the text.
  Position cells = 0;      // >= 1
  std::uint64_t hash = 0;  // Of its content.

  bool operator==(const Piece&) const = default;
};

// A hash of the adapters that a text is evaluated with, and of their weights; 0 = none.
using AdapterSet = std::uint64_t;
inline constexpr AdapterSet kNoAdapters = 0;

// A key that is somebody else's.  Plain tokens are one.
struct PrefixView {
  std::span<const Token> tokens;  // One for each cell.
  std::span<const Piece> pieces;  // Ascending, and apart from each other.
  AdapterSet adapters = kNoAdapters;

  PrefixView() = default;
  PrefixView(std::span<const Token> cells,  // NOLINT(misc-explicit-constructor)
             std::span<const Piece> others = {},
             AdapterSet set = kNoAdapters)
      : tokens(cells), pieces(others), adapters(set) {}
  PrefixView(const Tokens& cells)  // NOLINT(misc-explicit-constructor)
      : tokens(cells) {}

  std::size_t size() const { return tokens.size(); }
  // So many cells from the one at `from` on.
  PrefixView part(Position from, std::size_t count) const;
  PrefixView first(std::size_t count) const { return part(0, count); }
};

// A key that is kept.
struct PrefixKey {
  Tokens tokens;
  std::vector<Piece> pieces;
  AdapterSet adapters = kNoAdapters;

  PrefixKey() = default;
  PrefixKey(Tokens cells,  // NOLINT(misc-explicit-constructor)
            std::vector<Piece> others = {},
            AdapterSet set = kNoAdapters)
      : tokens(std::move(cells)), pieces(std::move(others)), adapters(set) {}
  explicit PrefixKey(const PrefixView& view)
      : tokens(view.tokens.begin(), view.tokens.end()),
        pieces(view.pieces.begin(), view.pieces.end()),
        adapters(view.adapters) {}
  operator PrefixView() const {  // NOLINT(misc-explicit-constructor)
    return {tokens, pieces, adapters};
  }

  std::size_t size() const { return tokens.size(); }
  bool empty() const { return tokens.empty(); }
  std::size_t bytes() const {
    return tokens.size() * sizeof(Token) + pieces.size() * sizeof(Piece);
  }

  void assign(const PrefixView& view);
  // What comes next in the same text; its pieces say where they lie in the whole.
  void append(const PrefixView& next);
  // Keeps so many cells, and the adapters; not for a number that lies inside a piece.
  void shorten(std::size_t cells);
};

// How many cells, at most `limit`, `a` and `b` have in common at their front.  None if they were
// evaluated with different adapters; and never a part of a piece.
Position common_prefix(const PrefixView& a,
                       const PrefixView& b,
                       Position limit = std::numeric_limits<Position>::max());

}  // namespace llmlocal
