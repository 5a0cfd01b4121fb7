// How many streams a pool has and how long they are: growing, shrinking, starting again.
#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "pool_fixture.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("pool: grows by doubling, up to its limit, and keeps what is there") {
  PoolFixture fixture({}, 6);
  fixture.run(kTalk);
  fixture.want(2, 1);
  CHECK(fixture.pool().streams() == 2);
  fixture.want(3, 1);
  CHECK(fixture.pool().streams() == 4);
  fixture.want(100, 1);
  CHECK(fixture.pool().streams() == 6);
  fixture.want(100, 1);
  CHECK(fixture.log().reshapes == 3);
  CHECK(fixture.content(0) == kTalk);
  CHECK(fixture.pool().length(0) == 40);
}

TEST_CASE("pool: growing beyond the memory lowers the limit, until there is a rest") {
  FakeOptions fake;
  fake.grows_to = 2;
  PoolFixture fixture(std::move(fake), 8);
  fixture.want(2, 1);
  fixture.run(kTalk);
  fixture.want(8, 1);
  CHECK(fixture.pool().streams() == 2);
  CHECK(fixture.pool().limit() == 2);
  CHECK(fixture.content(0) == kTalk);
}

TEST_CASE("pool: room grows by doubling, up to the context, and keeps what is there") {
  FakeOptions fake;
  fake.context_length = 300;
  fake.room = 50;
  PoolFixture fixture(std::move(fake), 6);
  fixture.run(kTalk);
  fixture.want(1, 50);
  CHECK(fixture.log().reshapes == 0);
  fixture.want(1, 101);
  CHECK(fixture.pool().room() == 200);
  fixture.want(2, 201);
  CHECK(fixture.pool().room() == 300);
  CHECK(fixture.pool().streams() == 2);
  fixture.want(2, 300);
  CHECK(fixture.log().reshapes == 2);
  CHECK(fixture.content(0) == kTalk);
}

TEST_CASE("pool: without memory for all streams it takes as many as there may be") {
  FakeOptions fake;
  fake.room = 50;
  fake.grows_to = 2;
  PoolFixture fixture(std::move(fake), 8);
  fixture.want(8, 100);
  CHECK(fixture.pool().streams() == 2);
  CHECK(fixture.pool().limit() == 2);
  CHECK(fixture.pool().room() == 100);
}

TEST_CASE("pool: what there was no memory for is not tried again, but half of it is") {
  FakeOptions fake;
  fake.room = 50;
  fake.room_grows_to = 100;
  int tries = 0;
  fake.on_call = [&](Call call) { tries += call == Call::kReshape ? 1 : 0; };
  PoolFixture fixture(std::move(fake), 8);
  fixture.run(kTalk);
  for (int i = 0; i < 2; ++i) fixture.want(1, 200);
  CHECK(fixture.pool().room() == 50);
  CHECK(tries == 1);
  fixture.want(1, 100);
  CHECK(fixture.pool().room() == 100);
  CHECK(tries == 2);
  CHECK(fixture.content(0) == kTalk);
}

TEST_CASE("pool: after a rest it tries again to grow") {
  FakeOptions fake;
  fake.room = 50;
  bool is_scarce = true;
  fake.on_call = [&](Call call) {
    if (call == Call::kReshape && is_scarce) throw OutOfMemoryError("others have it");
  };
  PoolFixture fixture(std::move(fake), 4);
  fixture.want(4, 200);
  is_scarce = false;
  fixture.want(4, 200);
  CHECK(fixture.log().reshapes == 0);
  fixture.pool().rest();
  fixture.want(4, 200);
  CHECK(fixture.pool().streams() == 4);
  CHECK(fixture.pool().room() == 200);
}

TEST_CASE("pool: what was refused beside many streams may be had beside few") {
  FakeOptions fake;
  fake.room = 50;
  fake.together = 650;
  PoolFixture fixture(std::move(fake), 8);
  fixture.want(8, 50);
  REQUIRE(fixture.pool().streams() == 8);
  fixture.want(2, 100);
  CHECK(fixture.pool().streams() == 2);
  CHECK(fixture.pool().room() == 100);
  fixture.want(8, 50);
  CHECK(fixture.pool().streams() == 8);
  CHECK(fixture.pool().room() == 50);
}

TEST_CASE("pool: a change that fails, for whatever reason, leaves what was there") {
  for (int kind = 0; kind < 4; ++kind) {
    CAPTURE(kind);
    PoolFixture fixture(throwing(Call::kReshape, std::make_shared<int>(kind)));
    fixture.run(kTalk);
    fixture.want(4, 1);
    CHECK(fixture.pool().streams() == 1);
    CHECK(fixture.content(0) == kTalk);
    CHECK(fixture.pool().length(0) == 40);
  }
}

TEST_CASE("pool: what is warm stays rather than what is empty") {
  FakeOptions fake = memory_of(MemoryKind::kPlain, 3);
  fake.room = 50;
  PoolFixture fixture(std::move(fake), 4, 0, kStreamBytes * 200 / 256);
  fixture.run(kTalk);
  fixture.run(kOther);
  fixture.run(some_tokens(20, 4));
  for (const StreamId stream : {0, 1, 2}) fixture.pool().release(stream);
  for (const StreamId stream : {1, 2}) fixture.pool().clear(stream);
  fixture.want(1, 100);
  CHECK(fixture.pool().streams() == 2);
  CHECK(fixture.pool().held_prefix(kTalkGoesOn) == 40);
}

// Memory for 4 streams of 50 tokens, or 2 of 100.
PoolFixture with_200_tokens(MemoryKind kind, StreamId streams, std::size_t store = kPlenty) {
  FakeOptions fake = memory_of(kind, streams);
  fake.room = 50;
  const std::size_t kv_bytes = kStreamBytes * 200 / 256;
  return PoolFixture(std::move(fake), 4, store, kv_bytes);
}

TEST_CASE("pool: all streams together keep to their bytes, be they many or long") {
  PoolFixture fixture = with_200_tokens(MemoryKind::kPlain, 1);
  CHECK(fixture.pool().limit() == 4);
  fixture.want(4, 50);
  CHECK(fixture.pool().streams() == 4);
  fixture.want(2, 100);
  CHECK(fixture.pool().streams() == 2);
  CHECK(fixture.pool().room() == 100);
  CHECK(fixture.pool().limit() == 2);
  fixture.want(1, 256);
  CHECK(fixture.pool().streams() == 1);
  CHECK(fixture.pool().room() == 256);
  fixture.want(4, 50);
  CHECK(fixture.pool().streams() == 4);
  CHECK(fixture.pool().room() == 50);
}

TEST_CASE("pool: where free streams make way, those in use move up and the others are saved") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    PoolFixture fixture = with_200_tokens(kind, 4);
    const std::vector<Tokens> texts = {
        some_tokens(20, 1), some_tokens(20, 2), some_tokens(20, 3), some_tokens(20, 4)};
    for (const Tokens& text : texts) fixture.run(text);
    for (const StreamId stream : {1, 0, 2}) fixture.pool().release(stream);
    const std::vector<Move> moves = fixture.want(2, 100);
    REQUIRE(moves.size() == 1);
    CHECK(moves[0].from == 3);
    CHECK(moves[0].to == 1);
    CHECK(fixture.content(0) == texts[2]);  // It was released last.
    CHECK(fixture.content(1) == texts[3]);
    CHECK(fixture.pool().length(1) == 20);
    CHECK(fixture.pool().active() == 1);
    CHECK(fixture.pool().store().size() == 2);
    for (const Tokens& text : texts) CHECK(fixture.pool().held_prefix(text + kOther) == 20);
  }
}

TEST_CASE("pool: what is too long for shorter streams goes to the store") {
  PoolFixture fixture = with_200_tokens(MemoryKind::kPlain, 1);
  fixture.want(1, 60);
  fixture.run_and_release(kTalkGoesOn);
  fixture.want(4, 50);
  CHECK(fixture.pool().room() == 50);
  CHECK(fixture.content(0).empty());
  CHECK(fixture.pool().length(0) == 0);
  CHECK(fixture.pool().held_prefix(kTalkGoesOn + Tokens{1}) == 60);
}

TEST_CASE("pool: a restart has one long stream, and the store what was there") {
  FakeOptions fake = memory_of(MemoryKind::kPlain, 2);
  fake.room = 50;
  fake.room_grows_to = 50;
  PoolFixture fixture(std::move(fake));
  fixture.run_and_release(kTalk);
  fixture.pool().restart(180);
  CHECK(fixture.pool().streams() == 1);
  CHECK(fixture.pool().room() == 200);
  CHECK(fixture.content(0).empty());
  CHECK(fixture.run(kTalkGoesOn).reused == 40);
}

TEST_CASE("pool: a restart gives up the store before it fails") {
  for (const bool is_ours : {true, false}) {
    FakeOptions fake;
    fake.room = 50;
    fake.room_grows_to = 50;
    int tries = 0;
    fake.on_call = [&](Call call) {
      if (call != Call::kRestart || ++tries > 1) return;
      if (is_ours) throw OutOfMemoryError("the store has it all");
      throw std::bad_alloc();
    };
    PoolFixture fixture(std::move(fake));
    fixture.run_and_release(kTalk);
    fixture.pool().restart(80);
    CHECK(fixture.pool().room() == 100);
    CHECK(fixture.pool().store().size() == 0);
    CHECK(fixture.pool().store().bytes() == 0);
  }
}

TEST_CASE("pool: a restart that fails leaves an empty stream") {
  FakeOptions fake = memory_of(MemoryKind::kPlain, 2);
  fake.room = 50;
  fake.room_grows_to = 50;
  fake.room_restarts_to = 100;
  PoolFixture fixture(std::move(fake), 4, 0);
  fixture.run_and_release(kTalk);
  CHECK_THROWS_AS(fixture.pool().restart(180), OutOfMemoryError);
  CHECK(fixture.pool().streams() == 1);
  CHECK(fixture.pool().room() == 50);
  CHECK(fixture.run(kTalk).reused == 0);
  fixture.pool().release(0);
  fixture.pool().restart(80);
  CHECK(fixture.pool().room() == 100);
}

TEST_CASE("pool: what growing lost is not believed to be there") {
  FakeOptions fake = memory_of(MemoryKind::kPlain, 2);
  fake.survives_reshape = [](StreamId stream) { return stream == 1; };
  PoolFixture fixture(std::move(fake));
  fixture.run(kTalk);
  fixture.run(kOther);
  fixture.want(4, 1);
  CHECK(fixture.pool().length(0) == 0);
  CHECK(fixture.pool().length(1) == 40);
  CHECK(fixture.pool().held_prefix(kTalkGoesOn) == 0);
}

}  // namespace
}  // namespace llmlocal::testing
