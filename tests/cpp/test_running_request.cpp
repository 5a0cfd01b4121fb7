#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/running_request.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

using std::chrono::milliseconds;

// A request that runs over a model with these words, with a clock in the test's hand.
class RunFixture {
 public:
  explicit RunFixture(RequestSpec spec, std::vector<std::string> words = {"a", "b", "c"})
      : decoder_(options_with(std::move(words)), std::make_shared<DecoderLog>()),
        request_(request_of(std::move(spec))),
        run_(request_, at(100)) {
    run_.enter(0, 0);
    run_.advance(static_cast<Position>(request_->spec().prompt.size()));
  }

  RunningRequest& run() { return run_; }
  Token end_token() const { return decoder_.vocab_size() - 1; }
  Clock::time_point at(int ms) const { return request_->submitted() + milliseconds(ms); }
  void accept(Token token, int ms = 200) { run_.accept(token, decoder_, at(ms)); }

  // What the consumer has got so far; the outcome once the engine announces it.
  TokenChannel::Read read() {
    if (run_.is_over()) run_.announce();
    return request_->channel().read(milliseconds(0), TokenChannel::Until::kNews);
  }

 private:
  static FakeOptions options_with(std::vector<std::string> words) {
    FakeOptions options;
    options.context_length = 10;
    words.emplace_back("<end>");
    options.model.pieces = std::move(words);
    return options;
  }

  FakeDecoder decoder_;
  std::shared_ptr<Request> request_;
  RunningRequest run_;
};

std::string text_of(const TokenChannel::Read& read) {
  std::string text;
  for (const TokenEvent& event : read.events) text += event.text;
  return text;
}

// How many of the events stand for a token; held-back text may follow without one.
std::int32_t tokens_in(const TokenChannel::Read& read) {
  std::int32_t count = 0;
  for (const TokenEvent& event : read.events) count += event.token == TokenEvent::kNoToken ? 0 : 1;
  return count;
}

RequestSpec with_stops(std::vector<std::string> stops) {
  RequestSpec spec = spec_of({0, 1}, 100);
  spec.stops = std::move(stops);
  return spec;
}

TEST_CASE("run: each token is delivered with its text") {
  RunFixture fixture(spec_of({0, 1}));
  fixture.accept(0);
  fixture.accept(2);
  const TokenChannel::Read read = fixture.read();
  REQUIRE(read.events.size() == 2);
  CHECK(read.events[0].token == 0);
  CHECK(read.events[0].text == "a");
  CHECK(read.events[1].token == 2);
  CHECK(read.events[1].text == "c");
  CHECK_FALSE(read.outcome);
  CHECK(fixture.run().state().decoding);
  CHECK(std::ranges::equal(fixture.run().state().next, Tokens{2}));
}

TEST_CASE("run: max_tokens ends it") {
  RunFixture fixture(spec_of({0, 1}, 2));
  fixture.accept(0);
  CHECK_FALSE(fixture.run().is_over());
  fixture.accept(1);
  const TokenChannel::Read read = fixture.read();
  REQUIRE(read.outcome);
  CHECK(read.outcome->reason == FinishReason::kLength);
  CHECK(read.outcome->usage.prompt_tokens == 2);
  CHECK(read.outcome->usage.completion_tokens == 2);
}

TEST_CASE("run: the token that the full context can't take is the last one") {
  RunFixture fixture(spec_of(some_tokens(10), 100));
  fixture.accept(0);
  CHECK(fixture.read().outcome->reason == FinishReason::kLength);
}

TEST_CASE("run: an end token ends it, and is neither text nor counted") {
  RunFixture fixture(spec_of({0, 1}, 5));
  fixture.accept(0);
  fixture.accept(fixture.end_token());
  const TokenChannel::Read read = fixture.read();
  CHECK(text_of(read) == "a");
  CHECK(tokens_in(read) == 1);
  CHECK(read.outcome->reason == FinishReason::kStop);
  CHECK_FALSE(read.outcome->stop_match.has_value());
  CHECK(read.outcome->usage.completion_tokens == 1);
}

TEST_CASE("run: a stop string across tokens ends it, and none of it is delivered") {
  RunFixture fixture(with_stops({"bc"}));
  fixture.accept(0);
  fixture.accept(1);
  CHECK(text_of(fixture.read()) == "a");
  fixture.accept(2);
  const TokenChannel::Read read = fixture.read();
  CHECK(text_of(read).empty());
  CHECK(read.outcome->reason == FinishReason::kStop);
  CHECK(read.outcome->stop_match == "bc");
  CHECK(read.outcome->usage.completion_tokens == 3);
}

TEST_CASE("run: a stop string wins over the limit that is reached with it") {
  RequestSpec spec = with_stops({"b"});
  spec.max_tokens = 1;
  RunFixture fixture(std::move(spec));
  fixture.accept(1);
  CHECK(fixture.read().outcome->reason == FinishReason::kStop);
}

TEST_CASE("run: text held back for a stop string is released when the limit ends it") {
  RequestSpec spec = with_stops({"bc"});
  spec.max_tokens = 2;
  RunFixture fixture(std::move(spec));
  fixture.accept(0);
  fixture.accept(1);
  const TokenChannel::Read read = fixture.read();
  CHECK(text_of(read) == "ab");
  CHECK(tokens_in(read) == 2);
  CHECK_FALSE(read.outcome->stop_match.has_value());
}

TEST_CASE("run: text held back is released when an end token, a cancel or a timeout ends it") {
  const auto end_by = [](int way) {
    RunFixture fixture(with_stops({"bc"}));
    fixture.accept(0);
    fixture.accept(1);
    if (way == 0) fixture.accept(fixture.end_token());
    if (way == 1) fixture.run().end(FinishReason::kCancelled, fixture.at(300));
    if (way == 2) fixture.run().end(FinishReason::kTimeout, fixture.at(300));
    return fixture.read();
  };
  const std::vector<FinishReason> reasons = {
      FinishReason::kStop, FinishReason::kCancelled, FinishReason::kTimeout};
  for (int way = 0; way < 3; ++way) {
    CAPTURE(way);
    const TokenChannel::Read read = end_by(way);
    CHECK(text_of(read) == "ab");
    CHECK(tokens_in(read) == 2);
    CHECK(read.outcome->reason == reasons[static_cast<std::size_t>(way)]);
    CHECK(read.outcome->usage.completion_tokens == 2);
  }
}

TEST_CASE("run: the bytes of a character that the end cuts off are tokens, and no text") {
  for (const int way : {0, 1, 2}) {
    CAPTURE(way);
    RequestSpec spec = with_stops({std::string(kReplacement)});
    if (way == 0) spec.max_tokens = 2;
    RunFixture fixture(std::move(spec), {"a", "\xC3"});
    fixture.accept(0);
    fixture.accept(1);
    if (way == 1) fixture.accept(fixture.end_token());
    if (way == 2) fixture.run().end(FinishReason::kCancelled, fixture.at(300));
    const TokenChannel::Read read = fixture.read();
    CHECK(text_of(read) == "a");
    CHECK(tokens_in(read) == 2);
    CHECK_FALSE(read.outcome->stop_match);
  }
}

TEST_CASE("run: a character of several tokens comes out whole, with the last of them") {
  RunFixture fixture(spec_of({0, 1}, 100), {"\xF0\x9F", "\x98", "\x80"});
  fixture.accept(0);
  fixture.accept(1);
  fixture.accept(2);
  const TokenChannel::Read read = fixture.read();
  REQUIRE(read.events.size() == 3);
  CHECK(read.events[0].text.empty());
  CHECK(read.events[1].text.empty());
  CHECK(read.events[2].text == "😀");
}

TEST_CASE("run: what it failed with is handed over, with the usage so far") {
  RunFixture fixture(spec_of({0, 1}, 100));
  fixture.accept(0);
  fixture.run().fail(std::make_exception_ptr(std::runtime_error("broken")), fixture.at(300));
  const TokenChannel::Read read = fixture.read();
  CHECK(error_of(*read.outcome) == "broken");
  CHECK(read.outcome->usage.completion_tokens == 1);
  CHECK(text_of(read) == "a");
}

TEST_CASE("run: the first end counts") {
  RunFixture fixture(spec_of({0, 1}, 1));
  fixture.accept(0);
  fixture.run().end(FinishReason::kCancelled, fixture.at(300));
  fixture.run().fail(std::make_exception_ptr(std::runtime_error("late")), fixture.at(300));
  const TokenChannel::Read read = fixture.read();
  CHECK(read.outcome->reason == FinishReason::kLength);
  CHECK_FALSE(read.outcome->error);
}

TEST_CASE("run: timings are of the stages of the request") {
  RunFixture fixture(spec_of({0, 1}, 3));  // Starts at 100 ms.
  fixture.accept(0, 400);
  fixture.accept(1, 450);
  fixture.accept(2, 600);
  const Timings timings = fixture.read().outcome->timings;
  CHECK(timings.queue_s == doctest::Approx(0.100));
  CHECK(timings.prompt_s == doctest::Approx(0.300));
  CHECK(timings.first_token_s == doctest::Approx(0.400));
  CHECK(timings.per_token_s == doctest::Approx(0.100));
  CHECK(timings.total_s == doctest::Approx(0.600));
}

TEST_CASE("run: the end token is no part of the time per token") {
  RunFixture fixture(spec_of({0, 1}, 100));
  fixture.accept(0, 400);
  fixture.accept(1, 450);
  fixture.accept(fixture.end_token(), 900);
  const Timings timings = fixture.read().outcome->timings;
  CHECK(timings.per_token_s == doctest::Approx(0.050));
  CHECK(timings.total_s == doctest::Approx(0.900));
}

TEST_CASE("run: stages that were not reached took no time") {
  RunFixture fixture(spec_of({0, 1}, 100));
  fixture.run().end(FinishReason::kCancelled, fixture.at(300));
  const Timings timings = fixture.read().outcome->timings;
  CHECK(timings.queue_s == doctest::Approx(0.100));
  CHECK(timings.prompt_s == 0);
  CHECK(timings.first_token_s == 0);
  CHECK(timings.per_token_s == 0);
  CHECK(timings.total_s == doctest::Approx(0.300));
}

TEST_CASE("run: a request that never ran has waited all its time") {
  const std::shared_ptr<const Request> shared = request_of(spec_of({0, 1, 2}));
  const Request& request = *shared;
  const Outcome outcome = outcome_without_running(
      request, FinishReason::kTimeout, request.submitted() + milliseconds(250));
  CHECK(outcome.reason == FinishReason::kTimeout);
  CHECK(outcome.usage.prompt_tokens == 3);
  CHECK(outcome.usage.completion_tokens == 0);
  CHECK(outcome.timings.queue_s == doctest::Approx(0.250));
  CHECK(outcome.timings.total_s == doctest::Approx(0.250));
}

TEST_CASE("run: of several places to pause the nearest ahead counts") {
  const auto request = request_of(spec_of(some_tokens(9)));
  RunningRequest run(request, request->submitted());
  run.enter(0, 2);
  run.pause_at(2);  // Not ahead.
  CHECK(run.state().pause_at == 0);
  run.pause_at(7);
  run.pause_at(5);
  run.pause_at(8);
  CHECK(run.state().pause_at == 5);
  CHECK(!run.is_at_pause());
  run.advance(3);
  CHECK(run.is_at_pause());
  CHECK(run.state().pause_at == 7);
  run.pause_at(8);
  run.advance(2);
  CHECK(run.is_at_pause());
  CHECK(run.last_pause() == 7);
  CHECK(run.state().pause_at == 8);
  run.advance(1);
  CHECK(run.state().pause_at == 0);
}

}  // namespace
}  // namespace llmlocal::testing
