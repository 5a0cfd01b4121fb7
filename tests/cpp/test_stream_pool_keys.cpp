// Texts with something in them that is no token, and texts of several adapters: nobody adopts what
// is not his, wherever it is held.
#include <doctest/doctest.h>

#include <cstddef>
#include <optional>
#include <utility>

#include "engine/streams/leader.h"
#include "pool_fixture.h"

namespace llmlocal::testing {
namespace {

constexpr AdapterSet kOne = 0x1111;
constexpr AdapterSet kTwo = 0x2222;
constexpr Position kImageCells = 8;

// 20 tokens, an image, and 20 tokens more.
PrefixKey with_image(std::uint64_t content, int last, AdapterSet adapters = kNoAdapters) {
  const Tokens cells(static_cast<std::size_t>(kImageCells), kNoToken);
  return {
      some_tokens(20, 1) + cells + some_tokens(20, last), {{20, kImageCells, content}}, adapters};
}

PrefixKey under(AdapterSet adapters, Tokens tokens) {
  return {std::move(tokens), {}, adapters};
}

TEST_CASE("keys: a stream with an image is continued by a text with the same one") {
  PoolFixture fixture;
  fixture.run_and_release(with_image(5, 2));
  CHECK(fixture.run_and_release(with_image(5, 3)).reused == 28);
}

TEST_CASE("keys: another image in the same place ends what is common before it") {
  PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
  fixture.run_and_release(with_image(5, 2));
  CHECK(fixture.run_and_release(with_image(6, 2)).reused == 20);
  CHECK(fixture.content(0)[20] + fixture.content(1)[20] == 5 + 6);
}

TEST_CASE("keys: a running stream with an image is adopted from, and a step of it rolled back") {
  PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
  const StreamPool::Lease first = fixture.run(with_image(5, 2));
  const StreamPool::Lease second = fixture.run(with_image(5, 3));
  CHECK(second.reused == 28);
  fixture.pool().cut(second.stream, 20);
  CHECK(fixture.pool().length(second.stream) == 28);
  fixture.pool().release(second.stream);
  CHECK(fixture.pool().held_prefix(with_image(5, 4)) == 28);
  CHECK(first.stream != second.stream);
}

TEST_CASE("keys: what was evicted with its image comes back from the store for the same one") {
  for (const std::uint64_t content : {5, 6}) {
    PoolFixture fixture({}, 1);
    fixture.run_and_release(with_image(5, 2));
    fixture.run_and_release(kOther);  // It takes the place of the first, which goes to the store.
    REQUIRE(fixture.pool().store().size() == 1);
    CHECK(fixture.run_and_release(with_image(content, 3)).reused == (content == 5 ? 28 : 20));
  }
}

TEST_CASE("keys: a text of one adapter never adopts what was evaluated with another") {
  for (const std::size_t store : {std::size_t{0}, kPlenty}) {
    PoolFixture fixture(memory_of(MemoryKind::kPlain, 2), 2, store);
    CHECK(fixture.run_and_release(under(kOne, kTalk)).reused == 0);
    CHECK(fixture.pool().held_prefix(under(kTwo, kTalk)) == 0);
    CHECK(fixture.pool().held_prefix(kTalk) == 0);
    CHECK(fixture.run_and_release(under(kTwo, kTalk)).reused == 0);
    CHECK(fixture.run_and_release(under(kOne, kTalkGoesOn)).reused == 40);
    CHECK(fixture.run_and_release(under(kTwo, kTalkGoesOn)).reused == 40);
  }
}

TEST_CASE("keys: a stream that goes from one adapter to another forgets the first") {
  PoolFixture fixture({}, 1, 0);
  fixture.run_and_release(under(kOne, kTalk));
  fixture.run_and_release(under(kTwo, kTalk));
  CHECK(fixture.pool().held_prefix(under(kOne, kTalkGoesOn)) == 0);
  CHECK(fixture.pool().held_prefix(under(kTwo, kTalkGoesOn)) == 40);
}

TEST_CASE(
    "keys: the store keeps the states of two adapters apart, though their tokens are the same") {
  PoolFixture fixture({}, 1);
  fixture.run_and_release(under(kOne, kTalk));
  fixture.run_and_release(under(kTwo, kTalk));
  fixture.run_and_release(kOther);
  CHECK(fixture.pool().store().size() == 2);
  CHECK(fixture.run_and_release(under(kOne, kTalkGoesOn)).reused == 40);
}

TEST_CASE("keys: nobody waits for a leader of another adapter, or with another image") {
  const PrefixKey image = with_image(5, 2, kOne);
  RunState run;
  run.prompt = image;
  run.evaluated = 2;
  CHECK(find_leader({&run, 1}, with_image(5, 3, kOne), 0)->shared == 28);
  CHECK(find_leader({&run, 1}, with_image(6, 3, kOne), 0)->shared == 20);
  CHECK_FALSE(find_leader({&run, 1}, with_image(5, 3, kTwo), 0).has_value());
  CHECK_FALSE(find_leader({&run, 1}, with_image(5, 3), 0).has_value());
}

}  // namespace
}  // namespace llmlocal::testing
