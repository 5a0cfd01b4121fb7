// A pool whose decoder can save what can't be cut back alone.
#include <doctest/doctest.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "pool_fixture.h"

namespace llmlocal::testing {
namespace {

FakeOptions with_parts(MemoryKind kind = MemoryKind::kWholeStates, StreamId streams = 1) {
  FakeOptions fake = memory_of(kind, streams);
  fake.has_parts = true;
  return fake;
}

// Stops after kTalk for a checkpoint, and goes on with this.
StreamId run_over_checkpoint(PoolFixture& fixture, const Tokens& rest) {
  const StreamId stream = fixture.run(kTalk).stream;
  fixture.pool().checkpoint(stream);
  fixture.evaluate(stream, rest);
  return stream;
}

// Reuses so many tokens for this prompt, and holds it then.
void check_reuses(PoolFixture& fixture, const Tokens& prompt, std::size_t tokens) {
  const StreamPool::Lease lease = fixture.run(prompt);
  CHECK(lease.reused == static_cast<Position>(tokens));
  CHECK(fixture.content(lease.stream) == prompt);
}

TEST_CASE("parts: a free stream is cut back to its checkpoint") {
  for (const MemoryKind kind : {MemoryKind::kWholeStates, MemoryKind::kWindowed}) {
    PoolFixture fixture(with_parts(kind));
    fixture.pool().release(run_over_checkpoint(fixture, some_tokens(10, 5)));
    CHECK(fixture.pool().store().bytes() == kPartBytes + kTalk.size() * sizeof(Token));
    check_reuses(fixture, kTalk + kOther, kTalk.size());
  }
}

TEST_CASE("parts: a copy of a running stream is cut back") {
  PoolFixture fixture(with_parts(MemoryKind::kWholeStates, 2));
  const StreamId first = run_over_checkpoint(fixture, kOther);
  check_reuses(fixture, kTalk + some_tokens(20, 6), kTalk.size());
  CHECK(fixture.content(first) == kTalk + kOther);
}

TEST_CASE("parts: a state from the store is cut back") {
  for (const MemoryKind kind : {MemoryKind::kWholeStates, MemoryKind::kWindowed}) {
    PoolFixture fixture(with_parts(kind));
    fixture.pool().release(run_over_checkpoint(fixture, kOther));
    fixture.run_and_release(some_tokens(30, 7));
    check_reuses(fixture, kTalk + some_tokens(20, 6), kTalk.size());
    CHECK(fixture.log().restores == 1);
  }
}

TEST_CASE("parts: whoever holds the text may use one, whatever stream it is from") {
  PoolFixture fixture(with_parts(MemoryKind::kWholeStates, 2));
  const StreamId first = run_over_checkpoint(fixture, kOther);
  const StreamId second = fixture.run(kTalk + some_tokens(20, 6)).stream;
  fixture.pool().clear(first);
  fixture.pool().release(first);
  fixture.pool().release(second);
  check_reuses(fixture, kTalk + some_tokens(20, 7), kTalk.size());
}

TEST_CASE("parts: one of a text that nobody holds any more serves nobody") {
  PoolFixture fixture(with_parts());
  const StreamId stream = run_over_checkpoint(fixture, kOther);
  fixture.pool().clear(stream);
  fixture.pool().release(stream);
  CHECK(fixture.pool().store().size() == 1);
  CHECK(fixture.pool().held_prefix(kTalk + kOther) == 0);
  check_reuses(fixture, kTalk + kOther, 0);
}

TEST_CASE("parts: that of its beginning stays while a conversation goes on") {
  const std::size_t part = kPartBytes + kTalk.size() * sizeof(Token);
  const Tokens turn = some_tokens(5, 5);
  PoolFixture fixture(with_parts(), 1, 4 * part);
  Tokens talk = kTalk;
  fixture.pool().release(run_over_checkpoint(fixture, {}));
  for (int i = 0; i < 20; ++i) {
    talk = talk + turn;
    fixture.run_and_release(talk);
    // Others fill the store meanwhile.
    const std::size_t bytes = part - kTalk.size() * sizeof(Token);
    StateBlob blob{std::make_unique<std::byte[]>(bytes), bytes, 0, 0};
    blob.length = static_cast<Position>(kTalk.size());
    fixture.pool().put_in({some_tokens(kTalk.size(), 100 + i), std::move(blob)});
  }
  check_reuses(fixture, kTalk + kOther, kTalk.size());
}

TEST_CASE("parts: a text that parts before the checkpoint does not use it") {
  PoolFixture fixture(with_parts());
  fixture.pool().release(run_over_checkpoint(fixture, kOther));
  Tokens prompt = kTalk;
  prompt.back() = (prompt.back() + 1) % 31;
  check_reuses(fixture, prompt + kOther, 0);
}

TEST_CASE("parts: one of the same tokens with another adapter is not used") {
  PoolFixture fixture(with_parts());
  const PrefixKey talk(kTalk, {}, 1);
  const StreamId stream = fixture.run(talk).stream;
  fixture.pool().checkpoint(stream);
  const PrefixKey whole(kTalk + kOther, {}, 1);
  fixture.evaluate(stream, whole, static_cast<Position>(kTalk.size()));
  fixture.pool().release(stream);
  const PrefixKey same(kTalk + some_tokens(20, 6), {}, 1);
  CHECK(fixture.pool().held_prefix(PrefixKey(same.tokens, {}, 2)) == 0);
  CHECK(fixture.pool().held_prefix(PrefixKey(same.tokens)) == 0);
  CHECK(fixture.pool().held_prefix(same) == static_cast<Position>(kTalk.size()));
}

TEST_CASE("parts: what can't be cut back is evaluated") {
  FakeOptions fake = with_parts();
  fake.cut_back_works = [] { return false; };
  PoolFixture refusing(std::move(fake));
  refusing.pool().release(run_over_checkpoint(refusing, kOther));
  check_reuses(refusing, kTalk + some_tokens(20, 6), 0);
  for (int kind = 0; kind < 4; ++kind) {
    FakeOptions thrower = throwing(Call::kCutBack, std::make_shared<int>(kind));
    thrower.memory = MemoryKind::kWholeStates;
    thrower.has_parts = true;
    PoolFixture fixture(std::move(thrower));
    fixture.pool().release(run_over_checkpoint(fixture, kOther));
    check_reuses(fixture, kTalk + some_tokens(20, 6), 0);
  }
}

TEST_CASE("parts: the same checkpoint is kept once") {
  PoolFixture fixture(with_parts());
  const StreamId stream = fixture.run(kTalk).stream;
  for (int i = 0; i < 2; ++i) fixture.pool().checkpoint(stream);
  CHECK(fixture.pool().store().size() == 1);
  CHECK(fixture.log().saved_parts == 1);
  CHECK(fixture.log().saves == 0);
}

TEST_CASE("parts: where none can be had, the whole state is kept") {
  PoolFixture fixture(memory_of(MemoryKind::kWholeStates));
  const StreamId stream = run_over_checkpoint(fixture, kOther);
  fixture.pool().clear(stream);
  fixture.pool().release(stream);
  check_reuses(fixture, kTalk + some_tokens(20, 6), kTalk.size());
}

TEST_CASE("parts: what is taken out is put together first, and is whole") {
  for (const bool is_displaced : {false, true}) {
    PoolFixture fixture(with_parts());
    fixture.pool().release(run_over_checkpoint(fixture, kOther));
    if (is_displaced) fixture.run_and_release(some_tokens(30, 7));
    std::optional<PrefixStore::Entry> entry = fixture.pool().take_out(kTalk);
    REQUIRE(entry);
    CHECK(entry->key.tokens == kTalk);
    CHECK_FALSE(entry->is_part);
    PoolFixture other(with_parts());
    other.pool().put_in(std::move(*entry));
    check_reuses(other, kTalk + some_tokens(20, 6), kTalk.size());
    check_reuses(fixture, kTalkGoesOn, kTalk.size());
  }
}

}  // namespace
}  // namespace llmlocal::testing
