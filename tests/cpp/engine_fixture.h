// An engine over the fake decoder, and the short ways in which the tests talk to it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "fake_decoder.h"
#include "fake_model.h"
#include "property.h"
#include "step_gate.h"

namespace llmlocal::testing {

// All that a request's consumer saw.
struct Result {
  Tokens tokens;
  std::string text;
  Outcome outcome;
};

inline Result read_to_end(Request& request) {
  Result result;
  // Counted in waits, so that a process that is stopped for a while has lost one of them at most.
  constexpr auto kSlice = std::chrono::seconds(1);
  for (auto waited = kSlice * 0; waited < kPatience; waited += kSlice) {
    const TokenChannel::Read read = request.channel().read(kSlice, TokenChannel::Until::kNews);
    if (!read.events.empty()) waited = kSlice * 0;
    for (const TokenEvent& event : read.events) {
      if (event.token != TokenEvent::kNoToken) result.tokens.push_back(event.token);
      result.text += event.text;
    }
    if (!read.outcome) continue;
    result.outcome = *read.outcome;
    return result;
  }
  FAIL("the request did not end");
  return result;
}

inline std::set<StreamId> streams_in(const Batch& batch) {
  return {batch.streams.begin(), batch.streams.end()};
}

// How many rows of the batches are of this stream.
inline std::size_t rows_of(const Batch& batch, StreamId stream) {
  return static_cast<std::size_t>(std::ranges::count(batch.streams, stream));
}

// The message of the error that a request ended with; empty if it ended well.
inline std::string error_of(const Outcome& outcome) {
  try {
    if (outcome.error) std::rethrow_exception(outcome.error);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

inline void check_failed(Request& request, const std::string& message) {
  CHECK(error_of(read_to_end(request).outcome) == message);
}

inline Tokens random_tokens(Random& random, const FakeModel& model, int least, int most) {
  Tokens tokens;
  for (int length = random.between(least, most); length > 0; --length) {
    tokens.push_back(random.below(model.vocab_size()));
  }
  return tokens;
}

// Tokens that tests can tell apart by `salt`.
inline Tokens some_tokens(std::size_t count, int salt = 0) {
  Random random(static_cast<std::uint64_t>(salt) + 1);
  Tokens tokens;
  while (tokens.size() < count) tokens.push_back(random.below(31));
  return tokens;
}

inline Tokens operator+(Tokens left, const Tokens& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

inline RequestSpec spec_of(Tokens prompt, std::int32_t max_tokens = 8) {
  RequestSpec spec;
  spec.prompt = std::move(prompt);
  spec.max_tokens = max_tokens;
  return spec;
}

// As the engine would make it.
inline std::shared_ptr<Request> request_of(RequestSpec spec) {
  return std::make_shared<Request>(std::move(spec), Chooser(std::make_unique<GreedySampler>()));
}

class EngineFixture {
 public:
  explicit EngineFixture(FakeOptions fake = {}, CacheOptions options = plenty())
      : fake_(std::move(fake)),
        engine_(std::make_unique<Engine>(std::make_unique<FakeDecoder>(fake_, log_), options)) {}

  ~EngineFixture() {
    gate().open();
    if (engine_) engine_->close();
    CHECK(log_->violations() == "");
    CHECK(log_->destroyed);
  }
  EngineFixture(const EngineFixture&) = delete;
  EngineFixture& operator=(const EngineFixture&) = delete;

  // Eight streams and a store that never fills up.
  static CacheOptions plenty() {
    return {.max_streams = 8, .kv_bytes = 1000 * kStreamBytes, .store_bytes = 1U << 24U};
  }

  Engine& engine() { return *engine_; }
  StepGate& gate() { return *fake_.gate; }
  const DecoderLog& log() const { return *log_; }
  const FakeModel& model() const { return fake_.model; }
  void destroy_engine() { engine_.reset(); }

  std::shared_ptr<Request> submit(RequestSpec spec) {
    std::vector<RequestSpec> specs;
    specs.push_back(std::move(spec));
    return engine_->submit(std::move(specs)).front();
  }
  Result run(RequestSpec spec) { return read_to_end(*submit(std::move(spec))); }

  Answer reference(const RequestSpec& spec) const {
    return reference_answer(fake_.model, spec, fake_.context_length);
  }

  // The request ends with what it would get from an engine of its own.
  void check_is_right(Request& request) const {
    check_is_right(request.spec(), read_to_end(request));
  }
  void check_is_right(const RequestSpec& spec, const Result& result) const {
    const Answer expected = reference(spec);
    CHECK(error_of(result.outcome) == "");
    CHECK(result.outcome.reason == expected.reason);
    CHECK(result.outcome.stop_match == expected.stop_match);
    CHECK(result.text == expected.text);
    CHECK(result.tokens == expected.tokens);
    CHECK(static_cast<std::size_t>(result.outcome.usage.completion_tokens) ==
          expected.tokens.size());
    CHECK(static_cast<std::size_t>(result.outcome.usage.prompt_tokens) == spec.prompt.size());
  }
  void check_works(int salt = 99) { check_is_right(*submit(spec_of(some_tokens(20, salt)))); }

 private:
  FakeOptions fake_;
  std::shared_ptr<DecoderLog> log_ = std::make_shared<DecoderLog>();
  std::unique_ptr<Engine> engine_;
};

inline constexpr std::array kAllKinds = {
    MemoryKind::kPlain, MemoryKind::kWindowed, MemoryKind::kWholeStates};

inline std::string_view name_of(MemoryKind kind) {
  if (kind == MemoryKind::kPlain) return "plain";
  return kind == MemoryKind::kWindowed ? "windowed" : "whole states";
}

}  // namespace llmlocal::testing
