// A stream pool over a fake decoder.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "engine/streams/stream_pool.h"
#include "engine_fixture.h"

namespace llmlocal::testing {

inline constexpr std::size_t kPlenty = 1U << 20U;

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

  // Cell by cell; a piece that is no token is evaluated whole, as its content's stand-in.
  void evaluate(StreamId stream, const PrefixView& text, Position from) {
    while (from < static_cast<Position>(text.size())) {
      const PrefixView rest = text.part(from, text.size() - static_cast<std::size_t>(from));
      const bool is_piece = !rest.pieces.empty() && rest.pieces.front().first == from;
      const Position cells = is_piece ? rest.pieces.front().cells : 1;
      Batch batch;
      for (Position i = 0; i < cells; ++i) {
        const Token token =
            is_piece ? static_cast<Token>(rest.pieces.front().hash) : rest.tokens[0];
        batch.add(token, pool_.length(stream) + i, stream, false);
      }
      REQUIRE(decoder_.decode(batch) == DecodeStatus::kOk);
      pool_.extend(stream, text.part(from, static_cast<std::size_t>(cells)));
      from += cells;
    }
  }
  void evaluate(StreamId stream, std::span<const Token> tokens) { evaluate(stream, tokens, 0); }

  // Adopts what it can, evaluates the rest.
  StreamPool::Lease run(const PrefixView& prompt) {
    const auto lease = pool_.acquire(prompt);
    REQUIRE(lease.has_value());
    evaluate(lease->stream, prompt, lease->reused);
    return *lease;
  }
  StreamPool::Lease run_and_release(const PrefixView& prompt) {
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

inline FakeOptions memory_of(MemoryKind kind, StreamId streams = 1) {
  FakeOptions fake;
  fake.memory = kind;
  fake.streams = streams;
  return fake;
}

// A decoder in which one kind of call throws.
inline FakeOptions throwing(Call broken, const std::shared_ptr<int>& kind, StreamId streams = 1) {
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

inline const Tokens kTalk = some_tokens(40, 1);
inline const Tokens kTalkGoesOn = kTalk + some_tokens(20, 2);
inline const Tokens kOther = some_tokens(40, 3);

}  // namespace llmlocal::testing
