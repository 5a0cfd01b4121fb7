#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine/streams/stream_pool.h"
#include "engine_fixture.h"
#include "failing_new.h"

namespace llmlocal::testing {
namespace {

constexpr std::size_t kPlenty = 1U << 20U;

// A pool over a fake decoder that evaluates as soon as it is told to.
class PoolFixture {
 public:
  explicit PoolFixture(FakeOptions fake = {},
                       StreamId max_streams = 4,
                       std::size_t store = kPlenty,
                       std::size_t kv_bytes = kPlenty)
      : decoder_(std::move(fake), log_),
        pool_(decoder_, {.max_streams = max_streams, .kv_bytes = kv_bytes, .store_bytes = store}) {}
  ~PoolFixture() { CHECK(log_->violations() == ""); }
  PoolFixture(const PoolFixture&) = delete;
  PoolFixture& operator=(const PoolFixture&) = delete;

  StreamPool& pool() { return pool_; }
  // So many texts of this length, those that run among them, ask for what they need.
  std::vector<Move> want(StreamId streams, Position length) {
    const std::vector<Position> running(static_cast<std::size_t>(pool_.active()), length);
    const auto more = static_cast<std::size_t>(std::max(streams - pool_.active(), 0));
    return pool_.reshape(running, std::vector<Position>(more, length));
  }
  DecoderLog& log() { return *log_; }
  const Tokens& content(StreamId stream) { return decoder_.tokens(stream); }
  std::size_t stream_bytes() const { return decoder_.stream_bytes(pool_.room()); }
  StreamId streams_there() const { return decoder_.streams(); }

  void evaluate(StreamId stream, std::span<const Token> tokens) {
    for (const Token token : tokens) {
      Batch batch;
      batch.add(token, pool_.length(stream), stream, false);
      REQUIRE(decoder_.decode(batch) == DecodeStatus::kOk);
      pool_.extend(stream, std::span(&token, 1));
    }
  }

  // Adopts what it can, evaluates the rest.
  StreamPool::Lease run(const Tokens& prompt) {
    const auto lease = pool_.acquire(prompt);
    REQUIRE(lease.has_value());
    evaluate(lease->stream, std::span(prompt).subspan(static_cast<std::size_t>(lease->reused)));
    return *lease;
  }
  StreamPool::Lease run_and_release(const Tokens& prompt) {
    const StreamPool::Lease lease = run(prompt);
    pool_.release(lease.stream);
    return lease;
  }

  // Half of a step that was cut short.
  void evaluate_unbooked(StreamId stream, const Tokens& tokens) {
    Batch batch;
    for (const Token token : tokens) {
      const auto ahead = static_cast<Position>(batch.size());
      batch.add(token, pool_.length(stream) + ahead, stream, false);
    }
    REQUIRE(decoder_.decode(batch) == DecodeStatus::kOk);
  }

 private:
  std::shared_ptr<DecoderLog> log_ = std::make_shared<DecoderLog>();
  FakeDecoder decoder_;
  StreamPool pool_;
};

FakeOptions memory_of(MemoryKind kind, StreamId streams = 1) {
  FakeOptions fake;
  fake.memory = kind;
  fake.streams = streams;
  return fake;
}

// A decoder in which one kind of call throws.
FakeOptions throwing(Call broken, const std::shared_ptr<int>& kind, StreamId streams = 1) {
  FakeOptions fake = memory_of(MemoryKind::kPlain, streams);
  fake.on_call = [broken, kind](Call call) {
    if (call != broken) return;
    if (*kind == 0) throw std::bad_alloc();
    if (*kind == 1) throw OutOfMemoryError("no memory");
    if (*kind == 2) throw std::runtime_error("a reason");
    if (*kind == 3) throw 42;
  };
  return fake;
}

const Tokens kTalk = some_tokens(40, 1);
const Tokens kTalkGoesOn = kTalk + some_tokens(20, 2);
const Tokens kOther = some_tokens(40, 3);

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

TEST_CASE("pool: a state that the decoder refuses is dropped, and the tokens are evaluated") {
  FakeOptions fake;
  fake.restore_works = [] { return false; };
  PoolFixture fixture(std::move(fake));
  fixture.run_and_release(kTalk);
  fixture.run_and_release(kOther);
  CHECK(fixture.run(kTalkGoesOn).reused == 0);
  CHECK(fixture.content(0) == kTalkGoesOn);
  CHECK(fixture.log().restores == 1);
  CHECK(fixture.pool().store().size() == 1);  // Of kOther, which had to make room.
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

TEST_CASE("pool: no memory for saving a state costs that state only") {
  FakeOptions fake;
  fake.on_save = [] { throw std::bad_alloc(); };
  PoolFixture fixture(std::move(fake));
  fixture.run_and_release(kTalk);
  CHECK(fixture.run(kOther).reused == 0);
  CHECK(fixture.content(0) == kOther);
  CHECK(fixture.pool().store().size() == 0);
}

TEST_CASE("pool: whatever is thrown where work is to be spared, the work is done") {
  for (int kind = 0; kind < 4; ++kind) {
    CAPTURE(kind);
    const auto thrown = std::make_shared<int>(kind);
    {
      PoolFixture fixture(throwing(Call::kSave, thrown));
      fixture.run_and_release(kTalk);
      fixture.run_and_release(kOther);
      CHECK(fixture.content(0) == kOther);
      CHECK(fixture.pool().store().size() == 0);
    }
    {
      PoolFixture fixture(throwing(Call::kRestore, thrown));
      fixture.run_and_release(kTalk);
      fixture.run_and_release(kOther);
      CHECK(fixture.run(kTalkGoesOn).reused == 0);
      CHECK(fixture.content(0) == kTalkGoesOn);
      CHECK(fixture.pool().store().size() == 1);  // Of kOther: the other one is dropped.
    }
    {
      PoolFixture fixture(throwing(Call::kCopy, thrown, 2));
      fixture.run(kTalk);
      CHECK(fixture.run(kTalkGoesOn).reused == 0);
      CHECK(fixture.content(1) == kTalkGoesOn);
    }
    {
      PoolFixture fixture(throwing(Call::kTrim, thrown));
      fixture.run_and_release(kTalkGoesOn);
      CHECK(fixture.run(kTalk + kOther).reused == 0);
      CHECK(fixture.content(0) == kTalk + kOther);
    }
  }
}

TEST_CASE("pool: what can't be rolled back or moved for an exception is emptied, or stays") {
  const auto thrown = std::make_shared<int>(1);
  {
    PoolFixture fixture(throwing(Call::kTrim, thrown));
    fixture.run(kTalk);
    fixture.evaluate_unbooked(0, {1, 2});
    fixture.pool().roll_back(0);
    CHECK(fixture.content(0).empty());
    CHECK(fixture.pool().length(0) == 0);
  }
  PoolFixture fixture(throwing(Call::kCopy, thrown, 3));
  fixture.run(kTalk);
  fixture.run(kOther);
  fixture.run(some_tokens(30, 8));
  fixture.pool().release(1);
  CHECK_FALSE(fixture.pool().close_gap().has_value());
  CHECK(fixture.content(1).empty());
  CHECK(fixture.pool().length(1) == 0);
  CHECK(fixture.content(2).size() == 30);
}

TEST_CASE("pool: no memory for the books of an adoption leaves no false belief") {
  int thrown = 0;
  for (int n = 0; n < 40; ++n) {
    PoolFixture fixture(memory_of(MemoryKind::kPlain, 2));
    fixture.run(kTalkGoesOn);
    const Tokens before = some_tokens(20, 9);
    fixture.run_and_release(before);
    if (!runs_out_of_memory(n, [&] { fixture.pool().acquire(kTalkGoesOn + Tokens{1}); })) continue;
    ++thrown;
    fixture.run(before + kOther);
    CHECK(fixture.content(1) == before + kOther);
  }
  CHECK(thrown > 1);
}

TEST_CASE("pool: no memory for the books of more streams leaves as many as there are") {
  for (int n = 0; n < 20; ++n) {
    PoolFixture fixture;
    fixture.run(kTalk);
    const std::vector<Position> running(1, 40);
    const std::vector<Position> waiting(3, 1);
    CHECK_FALSE(runs_out_of_memory(n, [&] { fixture.pool().reshape(running, waiting); }));
    CHECK(fixture.pool().streams() == fixture.streams_there());
    CHECK(fixture.content(0) == kTalk);
  }
}

// Any history, checked against the decoder after each event.
class RandomHistory {
 public:
  explicit RandomHistory(Random& random)
      : random_(random),
        faulty_(random.chance(30)),
        kv_bytes_(random.chance(50) ? static_cast<std::size_t>(random.below(4000)) : kPlenty),
        fixture_(options(), random.between(1, 6), budget(), kv_bytes_) {}

  void play(int events) {
    for (int i = 0; i < events; ++i) {
      play_one();
      REQUIRE(belief_is_true());
    }
  }

 private:
  struct Active {
    StreamId stream = -1;
    Tokens tokens;  // What must be in it.
  };

  // None, for a few states of up to 200 tokens, or for all there will be.
  std::size_t budget() {
    return random_.pick<std::size_t>({0, static_cast<std::size_t>(random_.below(4000)), kPlenty});
  }

  FakeOptions options() {
    FakeOptions fake = memory_of(random_.pick(kAllKinds), random_.between(1, 3));
    const auto works = [this] { return !faulty_ || random_.chance(60); };
    fake.copy_works = fake.save_works = fake.restore_works = works;
    fake.survives_reshape = [works](StreamId) { return works(); };
    fake.grows_to = random_.between(3, 8);
    fake.room = random_.pick<Position>({20, 256});
    fake.room_grows_to = random_.pick<Position>({20, 80, kAnyRoom});
    fake.room_restarts_to = random_.pick<Position>({20, 80, kAnyRoom});
    fake.failed_restart_leaves_nothing = random_.chance(50);
    return fake;
  }

  void play_one() {
    StreamPool& pool = fixture_.pool();
    const int event = random_.below(10);
    if (event < 3) {
      acquire();
    } else if (active_.empty() || event == 3) {
      reshape();
    } else if (event == 4) {
      if (const auto move = pool.close_gap()) {
        for (Active& active : active_) {
          if (active.stream == move->from) active.stream = move->to;
        }
      }
    } else {
      const auto index = static_cast<std::size_t>(random_.below(static_cast<int>(active_.size())));
      change(active_[index], event);
      if (event >= 8) active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(index));
    }
  }

  void reshape() {
    std::vector<Position> running;
    for (const Active& active : active_) {
      running.push_back(static_cast<Position>(active.tokens.size()) + random_.pick({0, 1, 50}));
    }
    std::vector<Position> waiting(static_cast<std::size_t>(random_.between(0, 8)));
    for (Position& length : waiting) length = random_.between(1, random_.pick({20, 256}));
    const std::vector<Move> moves = fixture_.pool().reshape(running, waiting);
    for (Active& active : active_) {
      const auto move = std::ranges::find(moves, active.stream, &Move::from);
      if (move != moves.end()) active.stream = move->to;
      if (fixture_.pool().length(active.stream) == 0) active.tokens.clear();  // Lost: start again.
    }
  }

  // Whether there is, now.
  bool makes_room(Position wanted) {
    StreamPool& pool = fixture_.pool();
    if (wanted <= pool.room()) return true;
    if (!active_.empty()) return false;
    try {
      pool.restart(wanted);
      return true;
    } catch (const OutOfMemoryError&) {
      return false;
    }
  }

  void acquire() {
    const Tokens prompt = random_prompt();
    if (!makes_room(static_cast<Position>(prompt.size()))) return;
    const Position held = fixture_.pool().held_prefix(prompt);
    const auto lease = fixture_.pool().acquire(prompt);
    REQUIRE(lease.has_value() ==
            (active_.size() < static_cast<std::size_t>(fixture_.pool().streams())));
    if (!lease) return;
    const bool in_bounds =
        lease->reused <= held && lease->reused < static_cast<Position>(prompt.size());
    REQUIRE(in_bounds);
    active_.push_back({lease->stream, Tokens(prompt.begin(), prompt.begin() + lease->reused)});
    evaluate(active_.back(), Tokens(prompt.begin() + lease->reused, prompt.end()));
  }

  void change(Active& active, int event) {
    StreamPool& pool = fixture_.pool();
    if (event == 5) {
      evaluate(active,
               some_tokens(static_cast<std::size_t>(random_.between(1, 10)), random_.below(3)));
    } else if (event == 6) {
      pool.checkpoint(active.stream);
    } else if (event == 7) {
      if (pool.length(active.stream) + 2 > pool.room()) return;
      fixture_.evaluate_unbooked(active.stream, {1, 2});
      pool.roll_back(active.stream);
      if (pool.length(active.stream) == 0) active.tokens.clear();
    } else {
      if (event == 8) pool.clear(active.stream);
      pool.release(active.stream);
      if (event == 9) past_.push_back(active.tokens);
    }
  }

  void evaluate(Active& active, const Tokens& tokens) {
    const std::size_t room = std::min<std::size_t>(200, fixture_.pool().room());
    if (active.tokens.size() + tokens.size() > room) return;
    fixture_.evaluate(active.stream, tokens);
    active.tokens.insert(active.tokens.end(), tokens.begin(), tokens.end());
  }

  // Often shares a beginning with something that went before.
  Tokens random_prompt() {
    Tokens prompt;
    if (!past_.empty() && random_.chance(80)) {
      prompt = random_.pick(past_);
      if (random_.chance(60)) {
        prompt.resize(static_cast<std::size_t>(random_.below(static_cast<int>(prompt.size()) + 1)));
      }
    }
    const Tokens tail =
        some_tokens(static_cast<std::size_t>(random_.between(1, 40)), random_.below(5));
    prompt.insert(prompt.end(), tail.begin(), tail.end());
    if (prompt.size() > 100) prompt.resize(100);
    past_.push_back(prompt);
    return prompt;
  }

  bool belief_is_true() {
    const StreamPool& pool = fixture_.pool();
    for (StreamId stream = 0; stream < pool.streams(); ++stream) {
      if (pool.length(stream) != static_cast<Position>(fixture_.content(stream).size()))
        return false;
    }
    const bool contents_right = std::ranges::all_of(active_, [&](const Active& active) {
      return fixture_.content(active.stream) == active.tokens;
    });
    const auto streams = static_cast<std::size_t>(pool.streams());
    const bool within_bytes =
        streams <= first_streams_ || streams * fixture_.stream_bytes() <= kv_bytes_;
    return contents_right && within_bytes && pool.store().bytes() <= pool.store().budget() &&
           static_cast<std::size_t>(pool.active()) == active_.size();
  }

  Random& random_;
  bool faulty_;
  std::size_t kv_bytes_;
  PoolFixture fixture_;
  std::size_t first_streams_ = static_cast<std::size_t>(fixture_.pool().streams());
  std::vector<Active> active_;
  std::vector<Tokens> past_;
};

TEST_CASE("pool: after any history it believes what is there, and every adopted prefix is one") {
  for_random_cases(400, [](Random& random) { RandomHistory(random).play(60); });
}

}  // namespace
}  // namespace llmlocal::testing
