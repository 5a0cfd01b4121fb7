// The key of what was evaluated: what two texts have in common, be it tokens or not.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "base/prefix_key.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

// Two tokens, an image of three cells, and two tokens more.
PrefixKey with_image(std::uint64_t hash, AdapterSet adapters = kNoAdapters) {
  return {Tokens{1, 2, kNoToken, kNoToken, kNoToken, 7, 8}, {{2, 3, hash}}, adapters};
}

TEST_CASE("prefix key: plain tokens are one, and have their front in common") {
  CHECK(common_prefix(Tokens{1, 2, 3}, Tokens{1, 2, 4}) == 2);
  CHECK(common_prefix(Tokens{1, 2, 3}, Tokens{1, 2, 3, 4}) == 3);
  CHECK(common_prefix(Tokens{1, 2, 3}, Tokens{1, 2, 3}, 2) == 2);
  CHECK(common_prefix(Tokens{}, Tokens{1}) == 0);
}

TEST_CASE("prefix key: cells that are no tokens are the same only with the same content") {
  CHECK(common_prefix(with_image(5), with_image(5)) == 7);
  CHECK(common_prefix(with_image(5), with_image(6)) == 2);
  CHECK(common_prefix(with_image(5), Tokens{1, 2, kNoToken, kNoToken, kNoToken, 7}) == 2);
  CHECK(common_prefix(Tokens{1, 2, kNoToken}, with_image(5)) == 2);
}

TEST_CASE("prefix key: nothing is cut inside a piece") {
  for (const Position limit : {2, 3, 4})
    CHECK(common_prefix(with_image(5), with_image(5), limit) == 2);
  CHECK(common_prefix(with_image(5), with_image(5), 5) == 5);
  const PrefixKey longer = {Tokens{1, 2, kNoToken, kNoToken, kNoToken, kNoToken, 8}, {{2, 4, 5}}};
  CHECK(common_prefix(with_image(5), longer) == 2);
}

TEST_CASE("prefix key: texts of other adapters have nothing in common") {
  CHECK(common_prefix(with_image(5, 1), with_image(5, 1)) == 7);
  CHECK(common_prefix(with_image(5, 1), with_image(5, 2)) == 0);
  CHECK(common_prefix(with_image(5, 1), with_image(5)) == 0);
}

TEST_CASE("prefix key: what is appended part by part is the whole again") {
  const PrefixKey whole = with_image(5, 3);
  PrefixKey grown;
  grown.assign(PrefixView(whole).first(2));
  CHECK(grown.pieces.empty());
  CHECK(grown.adapters == 3);
  grown.append(PrefixView(whole).part(2, 3));
  CHECK(grown.pieces == whole.pieces);
  grown.append(PrefixView(whole).part(5, 2));
  CHECK(grown.tokens == whole.tokens);
  grown.shorten(6);
  CHECK(common_prefix(grown, whole) == 6);
  grown.shorten(2);
  CHECK(grown.pieces.empty());
  CHECK(grown.bytes() == 2 * sizeof(Token));
}

// As slow as can be: every cell with all that it is.
std::vector<std::vector<std::uint64_t>> cells_of(const PrefixKey& key) {
  std::vector<std::vector<std::uint64_t>> cells;
  for (const Token token : key.tokens) cells.push_back({static_cast<std::uint64_t>(token)});
  for (const Piece& piece : key.pieces) {
    for (Position i = 0; i < piece.cells; ++i) {
      cells[static_cast<std::size_t>(piece.first + i)] = {
          0, piece.hash, static_cast<std::uint64_t>(piece.cells), static_cast<std::uint64_t>(i)};
    }
  }
  return cells;
}

PrefixKey random_key(Random& random) {
  PrefixKey key;
  while (key.size() < 8) {
    if (random.chance(30)) {
      const Position cells = random.between(1, 3);
      key.pieces.push_back({static_cast<Position>(key.size()), cells, random.chance(70) ? 1U : 2U});
      key.tokens.insert(key.tokens.end(), static_cast<std::size_t>(cells), kNoToken);
    } else {
      key.tokens.push_back(random.chance(80) ? 1 : 2);
    }
  }
  return key;
}

TEST_CASE("prefix key: agrees with a comparison cell by cell") {
  for_random_cases(2000, [](Random& random) {
    const PrefixKey a = random_key(random);
    const PrefixKey b = random_key(random);
    const auto first = cells_of(a);
    const auto second = cells_of(b);
    const Position limit = random.between(0, 9);
    Position common = std::min(
        static_cast<Position>(std::ranges::mismatch(first, second).in1 - first.begin()), limit);
    for (const Piece& piece : a.pieces) {
      if (piece.first < common && piece.first + piece.cells > common) common = piece.first;
    }
    REQUIRE(common_prefix(a, b, limit) == common);
    REQUIRE(common_prefix(b, a, limit) == common);
  });
}

}  // namespace
}  // namespace llmlocal::testing
