#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <vector>

#include "engine/streams/cache_shape.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

using Lengths = std::vector<Position>;

// Memory for so many tokens in all; one stream may always be had.
ShapeBounds memory_for(Position tokens, StreamId most_streams = 8) {
  return {100, 1600, most_streams, [=](CacheShape shape) {
            return shape.streams == 1 || shape.streams * shape.room <= tokens;
          }};
}

CacheShape short_streams(StreamId streams) {
  return {streams, 100};
}

TEST_CASE("cache shape: nothing to do, nothing changes") {
  CHECK(choose_shape({4, 200}, {}, {}, memory_for(800)) == CacheShape(4, 200));
  CHECK(choose_shape({4, 200}, Lengths{150, 10}, Lengths{200, 200}, memory_for(800)) ==
        CacheShape(4, 200));
}

TEST_CASE("cache shape: streams are added by doubling, as far as they fit") {
  CHECK(choose_shape(short_streams(1), {}, Lengths{10, 10}, memory_for(800)) == short_streams(2));
  CHECK(choose_shape(short_streams(2), Lengths{10}, Lengths{10, 10}, memory_for(800)) ==
        short_streams(4));
  CHECK(choose_shape(short_streams(2), Lengths{10}, Lengths{10, 10}, memory_for(300)) ==
        short_streams(3));
  CHECK(choose_shape(short_streams(4), {}, Lengths(100, 10), memory_for(8000, 6)) ==
        short_streams(6));
}

TEST_CASE("cache shape: room is added by doubling, up to the longest") {
  CHECK(choose_shape({2, 100}, Lengths{101}, {}, memory_for(8000)) == CacheShape(2, 200));
  CHECK(choose_shape({2, 100}, {}, Lengths{700}, memory_for(8000)) == CacheShape(2, 800));
  CHECK(choose_shape({2, 1000}, {}, Lengths{1600}, memory_for(8000)) == CacheShape(2, 1600));
}

TEST_CASE("cache shape: where there is no memory for both, free streams make way for longer ones") {
  CHECK(choose_shape({8, 100}, {}, Lengths{150}, memory_for(800)) == CacheShape(4, 200));
  CHECK(choose_shape({8, 100}, Lengths{10, 10}, Lengths{150}, memory_for(800)) ==
        CacheShape(4, 200));
  CHECK(choose_shape({8, 100}, {}, Lengths{1600}, memory_for(800)) == CacheShape(1, 1600));
}

TEST_CASE("cache shape: streams in use don't make way, and nobody passes one that waits for them") {
  CHECK(choose_shape({8, 100}, Lengths(5, 10), Lengths{150, 10, 10}, memory_for(800)) ==
        short_streams(8));
  CHECK(choose_shape({4, 100}, Lengths(4, 10), Lengths{150, 10, 10}, memory_for(800)) ==
        short_streams(4));
}

TEST_CASE("cache shape: texts that run have room before others get streams") {
  CHECK(choose_shape({2, 100}, Lengths{150}, Lengths(7, 10), memory_for(800)) ==
        CacheShape(4, 200));
}

TEST_CASE("cache shape: of texts that outgrew their streams, those that can go on do") {
  CHECK(choose_shape({2, 100}, Lengths{900, 150}, {}, memory_for(800)) == CacheShape(2, 200));
}

TEST_CASE("cache shape: streams become shorter where that lets in more") {
  CHECK(choose_shape({1, 800}, {}, Lengths(3, 10), memory_for(800)) == short_streams(4));
  CHECK(choose_shape({2, 400}, Lengths{10}, Lengths(9, 150), memory_for(800)) ==
        CacheShape(4, 200));
  CHECK(choose_shape({2, 400}, Lengths{300}, Lengths(9, 10), memory_for(800)) ==
        CacheShape(2, 400));
  CHECK(choose_shape({2, 400}, Lengths{10}, Lengths{10}, memory_for(800)) == CacheShape(2, 400));
}

TEST_CASE("cache shape: streams don't become shorter for less than twice as many") {
  const Lengths running(3, 10);
  CHECK(choose_shape({4, 200}, running, Lengths(4, 10), memory_for(800)) == CacheShape(4, 200));
  CHECK(choose_shape({4, 200}, running, Lengths(5, 10), memory_for(800)) == short_streams(8));
}

TEST_CASE("cache shape: a text that can't go on keeps what it has") {
  CHECK(choose_shape({2, 400}, Lengths{900, 10}, Lengths(9, 10), memory_for(800)) ==
        CacheShape(2, 400));
}

TEST_CASE("cache shape: what was made shorter than the shortest stays as it is") {
  CHECK(choose_shape({1, 50}, {}, Lengths{10, 10}, memory_for(800)) == CacheShape(2, 50));
}

// How many of those that wait there is a stream for.
std::size_t let_in(CacheShape shape, std::size_t running, const Lengths& waiting) {
  std::size_t count = 0;
  for (const Position length : waiting) {
    if (length > shape.room || running + count >= static_cast<std::size_t>(shape.streams)) break;
    ++count;
  }
  return count;
}

TEST_CASE("cache shape: whatever is wanted, it may be had, takes from nobody, and settles") {
  for_random_cases(20'000, [](Random& random) {
    const CacheShape now{random.between(1, 8), random.pick<Position>({100, 200, 400, 1600})};
    const Position memory = random.pick<Position>({0, 300, 800, 3000, 100'000});
    const auto given = memory_for(memory);
    ShapeBounds bounds = given;
    bounds.may_have = [&](CacheShape shape) {
      const bool is_there = shape.streams <= now.streams && shape.room <= now.room;
      return is_there || (shape.streams <= bounds.most_streams && given.may_have(shape));
    };
    Lengths running(static_cast<std::size_t>(random.between(0, now.streams)));
    for (Position& length : running) {
      length = random.chance(80) ? random.between(1, now.room) : random.between(1, 1600);
    }
    Lengths waiting(static_cast<std::size_t>(random.between(0, 10)));
    for (Position& length : waiting) length = random.between(1, random.pick({50, 300, 1600}));

    const CacheShape shape = choose_shape(now, running, waiting, bounds);
    CHECK(bounds.may_have(shape));
    CHECK(shape.streams >= static_cast<StreamId>(running.size()));
    CHECK(shape.room <= 1600);
    for (const Position length : running) CHECK(std::min(length, now.room) <= shape.room);
    if (std::ranges::all_of(running, [&](Position length) { return length <= now.room; })) {
      CHECK(let_in(shape, running.size(), waiting) >= let_in(now, running.size(), waiting));
    }
    ShapeBounds later = bounds;
    later.may_have = [&](CacheShape other) {
      const bool is_there = other.streams <= shape.streams && other.room <= shape.room;
      return is_there || (other.streams <= bounds.most_streams && given.may_have(other));
    };
    CHECK(choose_shape(shape, running, waiting, later) == shape);
  });
}

}  // namespace
}  // namespace llmlocal::testing
