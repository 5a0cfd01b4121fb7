#include <doctest/doctest.h>

#include "engine/streams/first_room.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("first room: short, where the whole is little beside the free memory") {
  CHECK(first_room(4096, 10, 4 * 40'960) == kShortRoom);
  CHECK(first_room(4096, 10, 4 * 40'960 - 1) == 4096);
}

TEST_CASE("first room: no more than the whole") {
  CHECK(first_room(100, 10, 1'000'000) == 100);
}

TEST_CASE("first room: the whole, where tokens take nothing or the free memory is not known") {
  CHECK(first_room(4096, 0, 1'000'000) == 4096);
  CHECK(first_room(4096, 10, 0) == 4096);
}

}  // namespace
}  // namespace llmlocal::testing
