// Which stream a prompt gets, and what it adopts.
#include <doctest/doctest.h>

#include <cstddef>
#include <utility>

#include "pool_fixture.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("pool: a free stream is continued in place") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    PoolFixture fixture(memory_of(kind));
    fixture.run_and_release(kTalk);
    CHECK(fixture.run(kTalkGoesOn).reused == 40);
    CHECK(fixture.log().saves == 0);
  }
}

TEST_CASE("pool: at least one token of a prompt is left to evaluate") {
  PoolFixture fixture;
  fixture.run_and_release(kTalk);
  CHECK(fixture.pool().held_prefix(kTalk) == 39);
  CHECK(fixture.run(kTalk).reused == 39);
}

TEST_CASE("pool: what is evicted comes back from the store") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    PoolFixture fixture(memory_of(kind));
    fixture.run_and_release(kTalk);
    fixture.run_and_release(kOther);
    CHECK(fixture.pool().store().size() == 1);
    CHECK(fixture.pool().held_prefix(kTalkGoesOn) == 40);
    CHECK(fixture.run(kTalkGoesOn).reused == 40);
    CHECK(fixture.content(0) == kTalkGoesOn);
  }
}

TEST_CASE("pool: without a store nothing is saved, and what is evicted is gone") {
  PoolFixture fixture({}, 4, 0);
  fixture.run_and_release(kTalk);
  fixture.run_and_release(kOther);
  CHECK(fixture.run(kTalkGoesOn).reused == 0);
  CHECK(fixture.log().saves == 0);
}

TEST_CASE("pool: a few tokens are not worth a place in the store") {
  PoolFixture fixture;
  fixture.run_and_release(some_tokens(15, 1));
  fixture.run_and_release(kOther);
  CHECK(fixture.log().saves == 0);
}

TEST_CASE("pool: a long tail is saved before a stream is cut back, a short one is not") {
  PoolFixture fixture;
  fixture.run_and_release(kTalkGoesOn);
  fixture.run_and_release(kTalk + Tokens{1, 1});
  CHECK(fixture.log().saves == 1);
  CHECK(fixture.pool().held_prefix(kTalkGoesOn + Tokens{1}) == 60);
  fixture.run_and_release(kTalk + Tokens{2, 2});
  CHECK(fixture.log().saves == 1);
}

TEST_CASE("pool: a running stream can be adopted from") {
  PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
  CHECK(fixture.run(kTalkGoesOn).stream == 0);
  const StreamPool::Lease second = fixture.run(kTalk + kOther);
  CHECK(second.stream == 1);
  CHECK(second.reused == 40);
  CHECK(fixture.content(1) == kTalk + kOther);
  CHECK(fixture.content(0) == kTalkGoesOn);
}

TEST_CASE("pool: what can't be cut back is adopted whole or not at all") {
  for (const MemoryKind kind : {MemoryKind::kWindowed, MemoryKind::kWholeStates}) {
    CAPTURE(name_of(kind));
    PoolFixture fixture(memory_of(kind, 3));
    fixture.run(kTalkGoesOn);
    CHECK(fixture.run(kTalk + kOther).reused == 0);
    CHECK(fixture.run(kTalkGoesOn + kOther).reused == 60);
  }
}

TEST_CASE("pool: a sliding window can be cut back in place until it was restored") {
  PoolFixture fixture(memory_of(MemoryKind::kWindowed));
  fixture.run_and_release(kTalkGoesOn);
  CHECK(fixture.run_and_release(kTalk + kOther).reused == 40);
  CHECK(fixture.run_and_release(kTalkGoesOn + Tokens{1}).reused == 60);  // From the store.
  CHECK(fixture.run_and_release(kTalk + Tokens{1}).reused == 0);
}

TEST_CASE("pool: the stream that alone holds much is used, although it stands apart") {
  // Of a windowed stream's beginning there is no copy, so it can only be continued where it is.
  PoolFixture fixture(memory_of(MemoryKind::kWindowed, 4));
  fixture.run(kOther);
  fixture.run(some_tokens(40, 4));
  fixture.run(some_tokens(40, 5));
  CHECK(fixture.run_and_release(kTalkGoesOn).stream == 3);
  fixture.pool().release(1);
  fixture.pool().release(2);
  const StreamPool::Lease lease = fixture.run(kTalk + kOther);
  CHECK(lease.stream == 3);
  CHECK(lease.reused == 40);
}

TEST_CASE("pool: what is shorter than the prefix to adopt is saved, as it can't be cut out of it") {
  // Two states, one the beginning of the other: the longer one can't stand for the shorter one.
  PoolFixture fixture(memory_of(MemoryKind::kWholeStates));
  fixture.run_and_release(kTalkGoesOn);
  fixture.run_and_release(kTalk);  // The longer one goes to the store.
  CHECK(fixture.run_and_release(kTalkGoesOn + Tokens{1}).reused == 60);
  CHECK(fixture.pool().held_prefix(kTalk + kOther) == 40);
}

TEST_CASE("pool: of streams with nothing of use, the one that was released first makes room") {
  PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
  CHECK(fixture.run(kTalk).stream == 0);
  CHECK(fixture.run(kOther).stream == 1);
  fixture.pool().release(1);
  fixture.pool().release(0);
  CHECK(fixture.run(some_tokens(40, 9)).stream == 1);
  CHECK(fixture.content(0) == kTalk);
}

TEST_CASE("pool: no lease when all streams are in use") {
  PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
  fixture.run(kTalk);
  fixture.run(kOther);
  CHECK_FALSE(fixture.pool().acquire(kTalk).has_value());
  CHECK(fixture.pool().active() == 2);
}

TEST_CASE("pool: an entry that is pushed out by the save that makes room for it is not adopted") {
  // The store holds one state: saving the stream's own tokens pushes out the longer prefix.
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    PoolFixture fixture(memory_of(kind), 1, 60 * (kStateBytesPerToken + sizeof(Token)));
    fixture.run_and_release(kTalkGoesOn);
    fixture.run_and_release(some_tokens(17, 1) + kOther);  // kTalkGoesOn is in the store now.
    fixture.run(kTalkGoesOn + Tokens{1});
    CHECK(fixture.content(0) == kTalkGoesOn + Tokens{1});
  }
}

TEST_CASE("pool: a checkpoint can be adopted where the stream has gone on") {
  PoolFixture fixture(memory_of(MemoryKind::kWholeStates, 2));
  const StreamPool::Lease lease = fixture.run(kTalk);
  fixture.pool().checkpoint(lease.stream);
  fixture.evaluate(lease.stream, kOther);
  CHECK(fixture.run(kTalkGoesOn).reused == 40);
}

TEST_CASE("pool: what the store covers is not saved again") {
  PoolFixture fixture;
  const StreamPool::Lease lease = fixture.run(kTalk);
  fixture.pool().checkpoint(lease.stream);
  fixture.pool().checkpoint(lease.stream);
  CHECK(fixture.log().saves == 1);
}

TEST_CASE("pool: a step that was cut short is rolled back, or the stream is emptied") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    PoolFixture fixture(memory_of(kind));
    const StreamPool::Lease lease = fixture.run(kTalk);
    fixture.evaluate_unbooked(lease.stream, {1, 2, 3});
    fixture.pool().roll_back(lease.stream);
    const bool can_cut = kind != MemoryKind::kWholeStates;
    CHECK(fixture.content(0) == (can_cut ? kTalk : Tokens{}));
    CHECK(fixture.pool().length(0) == (can_cut ? 40 : 0));
  }
}

TEST_CASE("pool: rolling back a stream that held nothing empties it") {
  PoolFixture fixture;
  const auto lease = fixture.pool().acquire(kTalk);
  fixture.evaluate_unbooked(lease->stream, {1, 2});
  fixture.pool().roll_back(lease->stream);
  CHECK(fixture.content(0).empty());
}

TEST_CASE("pool: closing a gap moves the last active stream and saves what was in the gap") {
  PoolFixture fixture(memory_of(MemoryKind::kPlain, 4));
  fixture.run(some_tokens(20, 7));
  fixture.run(kTalk);
  fixture.run(kOther);
  fixture.pool().release(1);
  REQUIRE(fixture.pool().has_gap());
  const auto move = fixture.pool().close_gap();
  REQUIRE(move.has_value());
  CHECK(move->from == 2);
  CHECK(move->to == 1);
  CHECK(fixture.content(1) == kOther);
  CHECK(fixture.content(2).empty());
  CHECK(fixture.pool().length(1) == 40);
  CHECK(fixture.pool().active() == 2);
  CHECK_FALSE(fixture.pool().has_gap());
  CHECK(fixture.pool().held_prefix(kTalkGoesOn) == 40);
}

TEST_CASE("pool: a copy that is refused leaves the moved stream where it was") {
  FakeOptions fake = memory_of(MemoryKind::kPlain, 2);
  fake.copy_works = [] { return false; };
  PoolFixture fixture(std::move(fake));
  fixture.run(kTalk);
  fixture.want(4, 1);
  fixture.run(kOther);
  fixture.run(some_tokens(30, 8));
  fixture.pool().release(1);
  CHECK_FALSE(fixture.pool().close_gap().has_value());
  CHECK(fixture.content(2).size() == 30);
  CHECK(fixture.pool().length(2) == 30);
  CHECK(fixture.pool().length(1) == 0);
}

TEST_CASE("pool: what was adopted lately stays in the store longer") {
  // Room for two states of 40 tokens.
  PoolFixture fixture({}, 1, std::size_t{2} * 40 * (kStateBytesPerToken + sizeof(Token)));
  fixture.run_and_release(kTalk);
  fixture.run_and_release(kOther);
  fixture.run_and_release(some_tokens(10, 7));  // Both are in the store now, kOther the later one.
  const Tokens part(kTalk.begin(), kTalk.begin() + 30);
  CHECK(fixture.run_and_release(part + some_tokens(8, 8)).reused == 30);
  fixture.run_and_release(some_tokens(10, 7));
  CHECK(fixture.pool().held_prefix(kTalk + Tokens{1}) == 40);
  CHECK(fixture.pool().held_prefix(kOther + Tokens{1}) < 40);
}

}  // namespace
}  // namespace llmlocal::testing
