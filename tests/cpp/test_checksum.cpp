#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/checksum.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("checksum: a word that changed is noticed wherever it is") {
  for_random_cases(200, [](Random& random) {
    std::vector<std::byte> bytes(static_cast<std::size_t>(random.between(1, 200)));
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.below(256));
    const std::uint64_t sum = checksum(bytes);
    std::vector<std::byte> changed = bytes;
    changed[static_cast<std::size_t>(random.below(static_cast<int>(bytes.size())))] ^=
        static_cast<std::byte>(random.between(1, 255));
    CHECK(checksum(changed) != sum);
    bytes.push_back(std::byte{0});
    CHECK(checksum(bytes) != sum);
  });
}

TEST_CASE("checksum: of pieces it is the same with and without a second thread") {
  constexpr std::size_t kPiece = 1 << 20;
  for (const std::size_t size :
       {std::size_t{0}, kPiece - 1, kPiece, 11 * kPiece, 12 * kPiece + 5}) {
    std::vector<std::byte> bytes(size);
    for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i * 2654435761U >> 20);
    const std::uint64_t sum = checksum_of_pieces(bytes, Helper::kThread);
    CHECK(checksum_of_pieces(bytes, Helper::kNone) == sum);
    if (size == 0) continue;
    for (const std::size_t place : {std::size_t{0}, size / 2, size - 1}) {
      bytes[place] ^= std::byte{1};
      CHECK(checksum_of_pieces(bytes, Helper::kThread) != sum);
      bytes[place] ^= std::byte{1};
    }
    if (size < 2 * kPiece) continue;
    std::swap_ranges(bytes.begin(), bytes.begin() + kPiece, bytes.begin() + kPiece);
    CHECK(checksum_of_pieces(bytes, Helper::kThread) != sum);
  }
}

}  // namespace
}  // namespace llmlocal::testing
