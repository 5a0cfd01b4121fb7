#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "engine/streams/stream_choice.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

const Tokens kPrompt = {1, 2, 3, 4, 5, 6, 7, 8};

TEST_CASE("placement: a usable prefix is what is common, at most the limit, at least the floor") {
  CHECK(usable_prefix(Tokens{1, 2, 3, 9}, 0, {kPrompt, 7}) == 3);
  CHECK(usable_prefix(kPrompt, 0, {kPrompt, 7}) == 7);
  CHECK(usable_prefix(Tokens{1, 2, 3, 9}, 3, {kPrompt, 7}) == 3);
  CHECK(usable_prefix(Tokens{1, 2, 3, 9}, 4, {kPrompt, 7}) == 0);
  CHECK(usable_prefix(kPrompt, 8, {kPrompt, 7}) == 0);
  CHECK(usable_prefix(Tokens{}, 0, {kPrompt, 7}) == 0);
}

TEST_CASE("placement: a part brings back who holds all of its text") {
  std::vector<StateBlob> parts(2);
  parts[0].length = 2;
  parts[1].length = 5;
  const auto usable = [&](const Tokens& held, Position floor) {
    return usable_prefix(held, floor, {kPrompt, 7, parts});
  };
  CHECK(usable({1, 2, 3, 4, 5, 6, 9}, 7) == 5);
  CHECK(usable({1, 2, 3, 4, 5, 6, 9}, 6) == 6);  // It needs none.
  CHECK(usable({1, 2, 3, 4, 5}, 6) == 5);
  CHECK(usable({1, 2, 3, 4, 9}, 5) == 2);
  CHECK(usable({1, 9}, 2) == 0);
  CHECK(usable({}, 1) == 0);
}

TEST_CASE("placement: what to copy comes from any stream, within the floor of copies") {
  const Tokens two = {1, 2};
  const Tokens four = {1, 2, 3, 4, 9};
  std::vector<StreamView> streams = {
      {.text = two}, {.text = four, .active = true}, {.text = kPrompt, .copy_floor = 8}};
  CHECK(longest_to_copy(streams, {kPrompt, 7}).stream == 1);
  CHECK(longest_to_copy(streams, {kPrompt, 7}).length == 4);
  streams[2].copy_floor = 7;
  CHECK(longest_to_copy(streams, {kPrompt, 7}).stream == 2);
  CHECK(longest_to_copy(streams, {Tokens{9, 9}, 1}).stream == -1);
}

TEST_CASE("placement: only a free stream can be continued, within its own floor") {
  const Tokens two = {1, 2};
  const Tokens four = {1, 2, 3, 4, 9};
  const std::vector<StreamView> streams = {
      {.text = two, .copy_floor = 2}, {.text = four, .active = true}, {.text = four, .floor = 5}};
  CHECK(longest_to_continue(streams, {kPrompt, 7}).stream == 0);
  CHECK(longest_to_continue(streams, {kPrompt, 7}).length == 2);
}

TEST_CASE("placement: chooses by what would be lost") {
  const Tokens other = {9, 9};
  const Tokens with_tail = {1, 2, 3, 9};
  const Tokens whole = {1, 2, 3};
  std::vector<StreamView> streams = {{.text = other, .last_used = 1},
                                     {.text = with_tail, .last_used = 2},
                                     {.text = {}, .last_used = 3},
                                     {.text = whole, .last_used = 4}};
  CHECK(choose_stream(streams, {kPrompt, 7}, 3) == 3);  // Loses nothing.
  streams[3].active = true;
  CHECK(choose_stream(streams, {kPrompt, 7}, 3) == 2);  // Is empty.
  streams[2].text = other;
  // Inside or beside the block of active streams only 2 is left.
  CHECK(choose_stream(streams, {kPrompt, 7}, 3) == 2);
  streams[3].active = false;
  streams[3].text = other;
  CHECK(choose_stream(streams, {kPrompt, 7}, 3) == 1);  // Loses its tail only.
  CHECK(choose_stream(streams, {kPrompt, 7}, 4) == 0);  // More is held elsewhere: the oldest goes.
}

TEST_CASE("placement: no stream where all are active") {
  const std::vector<StreamView> streams = {{.text = {}, .active = true},
                                           {.text = {}, .active = true}};
  CHECK(choose_stream(streams, {kPrompt, 7}, 0) == std::nullopt);
}

TEST_CASE(
    "placement: the chosen stream is free, and keeps the active ones in one block if any can") {
  for_random_cases(2000, [](Random& random) {
    std::vector<StreamView> streams(static_cast<std::size_t>(random.between(1, 8)));
    const auto count = static_cast<StreamId>(streams.size());
    for (StreamView& stream : streams) {
      stream.active = random.chance(40);
      stream.text = std::span(kPrompt).first(static_cast<std::size_t>(random.below(9)));
      stream.last_used = static_cast<std::uint64_t>(random.below(10));
    }
    const auto chosen = choose_stream(streams, {kPrompt, 7}, random.below(9));
    const bool some_free = !std::ranges::all_of(streams, &StreamView::active);
    REQUIRE(chosen.has_value() == some_free);
    if (!chosen) return;
    CHECK_FALSE(streams[static_cast<std::size_t>(*chosen)].active);
    // Counted the slow way: how long is the block that spans all active streams and this one?
    const auto span_with = [&](StreamId id) {
      StreamId first = id;
      StreamId last = id;
      for (StreamId each = 0; each < count; ++each) {
        if (!streams[static_cast<std::size_t>(each)].active) continue;
        first = std::min(first, each);
        last = std::max(last, each);
      }
      return last - first + 1;
    };
    const StreamId present =
        std::ranges::any_of(streams, &StreamView::active)
            ? span_with(static_cast<StreamId>(
                  std::ranges::find(streams, true, &StreamView::active) - streams.begin()))
            : 0;
    bool some_fits = false;
    for (StreamId id = 0; id < count; ++id) {
      const bool is_free = !streams[static_cast<std::size_t>(id)].active;
      some_fits = some_fits || (is_free && span_with(id) <= present + 1);
    }
    CHECK((!some_fits || present == 0 || span_with(*chosen) <= present + 1));
  });
}

TEST_CASE("placement: a gap is closed from the highest active stream into the lowest gap") {
  const auto move = closing_move({false, true, false, true, false, true, false});
  REQUIRE(move.has_value());
  CHECK(move->from == 5);
  CHECK(move->to == 2);
}

TEST_CASE("placement: without a gap nothing is moved") {
  CHECK_FALSE(closing_move({}).has_value());
  CHECK_FALSE(closing_move({false, false}).has_value());
  CHECK_FALSE(closing_move({true}).has_value());
  CHECK_FALSE(closing_move({false, true, true, false}).has_value());
}

TEST_CASE(
    "placement: moves make any active streams one block, in as many moves as there are gaps") {
  for_random_cases(500, [](Random& random) {
    std::vector<bool> active(static_cast<std::size_t>(random.between(1, 12)));
    for (std::size_t i = 0; i < active.size(); ++i) active[i] = random.chance(50);
    const auto count = std::ranges::count(active, true);
    int moves = 0;
    while (const auto move = closing_move(active)) {
      REQUIRE(active[static_cast<std::size_t>(move->from)]);
      REQUIRE_FALSE(active[static_cast<std::size_t>(move->to)]);
      active[static_cast<std::size_t>(move->from)] = false;
      active[static_cast<std::size_t>(move->to)] = true;
      REQUIRE(++moves <= 12);
    }
    CHECK(std::ranges::count(active, true) == count);
    const auto first = std::ranges::find(active, true);
    CHECK(std::ranges::all_of(first, first + count, [](bool each) { return each; }));
  });
}

}  // namespace
}  // namespace llmlocal::testing
