#include "base/prefix_key.h"

#include <algorithm>

namespace llmlocal {

PrefixView PrefixView::part(Position from, std::size_t count) const {
  const auto end = from + static_cast<Position>(count);
  const auto begins = std::ranges::lower_bound(pieces, from, {}, &Piece::first);
  const auto ends = std::ranges::lower_bound(begins, pieces.end(), end, {}, &Piece::first);
  return {tokens.subspan(static_cast<std::size_t>(from), count),
          std::span<const Piece>(begins, ends),
          adapters};
}

void PrefixKey::assign(const PrefixView& view) {
  tokens.assign(view.tokens.begin(), view.tokens.end());
  pieces.assign(view.pieces.begin(), view.pieces.end());
  adapters = view.adapters;
}

void PrefixKey::append(const PrefixView& next) {
  tokens.insert(tokens.end(), next.tokens.begin(), next.tokens.end());
  pieces.insert(pieces.end(), next.pieces.begin(), next.pieces.end());
}

void PrefixKey::shorten(std::size_t cells) {
  tokens.resize(cells);
  while (!pieces.empty() && pieces.back().first >= static_cast<Position>(cells)) pieces.pop_back();
}

Position common_prefix(const PrefixView& a, const PrefixView& b, Position limit) {
  if (a.adapters != b.adapters) return 0;
  const auto same = std::ranges::mismatch(a.tokens, b.tokens).in1 - a.tokens.begin();
  const Position common = std::min(static_cast<Position>(same), limit);
  const auto inside = [common](std::span<const Piece> pieces, std::size_t i) {
    return i < pieces.size() && pieces[i].first < common;
  };
  for (std::size_t i = 0; inside(a.pieces, i) || inside(b.pieces, i); ++i) {
    const bool both = inside(a.pieces, i) && inside(b.pieces, i);
    // A piece of one of them lies where the other has tokens, or another piece.
    if (!both) return inside(a.pieces, i) ? a.pieces[i].first : b.pieces[i].first;
    const Piece& piece = a.pieces[i];
    if (piece != b.pieces[i]) return std::min(piece.first, b.pieces[i].first);
    if (piece.first + piece.cells > common) return piece.first;
  }
  return common;
}

}  // namespace llmlocal
