#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/token_channel.h"
#include "failing_new.h"
#include "property.h"
#include "step_gate.h"

namespace llmlocal::testing {
namespace {

using std::chrono::milliseconds;
using Until = TokenChannel::Until;

constexpr milliseconds kAtOnce{0};

Outcome outcome_with(FinishReason reason) {
  Outcome outcome;
  outcome.reason = reason;
  return outcome;
}

TEST_CASE("channel: gives what is there, in order, once") {
  TokenChannel channel;
  channel.push({1, "a"});
  channel.push({2, "b"});
  const TokenChannel::Read first = channel.read(kAtOnce, Until::kNews);
  REQUIRE(first.events.size() == 2);
  CHECK(first.events[0].token == 1);
  CHECK(first.events[0].text == "a");
  CHECK(first.events[1].token == 2);
  CHECK_FALSE(first.outcome);
  CHECK(channel.read(kAtOnce, Until::kNews).events.empty());
}

TEST_CASE("channel: the outcome comes with the last events, and stays") {
  TokenChannel channel;
  channel.push({1, "a"});
  channel.finish(outcome_with(FinishReason::kLength));
  const TokenChannel::Read read = channel.read(kPatience, Until::kNews);
  CHECK(read.events.size() == 1);
  REQUIRE(read.outcome);
  CHECK(read.outcome->reason == FinishReason::kLength);
  CHECK(channel.read(kPatience, Until::kEnd).outcome == read.outcome);
}

TEST_CASE("channel: the first outcome counts, and nothing follows it") {
  TokenChannel channel;
  channel.finish(outcome_with(FinishReason::kCancelled));
  channel.finish(outcome_with(FinishReason::kStop));
  channel.push({1, "late"});
  const TokenChannel::Read read = channel.read(kAtOnce, Until::kNews);
  CHECK(read.outcome->reason == FinishReason::kCancelled);
  CHECK(read.events.empty());
}

TEST_CASE("channel: a reader for news is not kept waiting by events that are there") {
  TokenChannel channel;
  channel.push({1, "a"});
  const auto start = std::chrono::steady_clock::now();
  CHECK(channel.read(kPatience, Until::kNews).events.size() == 1);
  CHECK(std::chrono::steady_clock::now() - start < kPatience / 2);
}

TEST_CASE("channel: a reader for the end does not return for tokens") {
  constexpr milliseconds kShort{20};
  TokenChannel channel;
  channel.push({1, "a"});
  const auto start = std::chrono::steady_clock::now();
  const TokenChannel::Read read = channel.read(kShort, Until::kEnd);
  CHECK(std::chrono::steady_clock::now() - start >= kShort);
  CHECK(read.events.size() == 1);  // After the timeout it gets what is there all the same.
}

TEST_CASE("channel: a waiting reader is woken by a token") {
  TokenChannel channel;
  TokenChannel::Read read;
  std::thread reader([&] { read = channel.read(kPatience, Until::kNews); });
  channel.push({7, "x"});
  reader.join();
  CHECK(read.events.size() == 1);
}

TEST_CASE("channel: a waiting reader is woken by the end, and has all tokens then") {
  TokenChannel channel;
  TokenChannel::Read read;
  std::thread reader([&] { read = channel.read(kPatience, Until::kEnd); });
  for (Token token = 0; token < 100; ++token) channel.push({token, ""});
  channel.finish(outcome_with(FinishReason::kStop));
  reader.join();
  CHECK(read.outcome);
  CHECK(read.events.size() == 100);
}

TEST_CASE("channel: whatever the reader waits for, it gets every token once and in order") {
  for_random_cases(30, [](Random& random) {
    constexpr Token kCount = 500;
    TokenChannel channel;
    std::thread writer([&channel] {
      for (Token token = 0; token < kCount; ++token) channel.push({token, "t"});
      channel.finish(outcome_with(FinishReason::kStop));
    });
    std::vector<Token> got;
    std::shared_ptr<const Outcome> outcome;
    while (!outcome) {
      const Until until = random.chance(20) ? Until::kEnd : Until::kNews;
      const TokenChannel::Read read = channel.read(milliseconds(random.below(3)), until);
      for (const TokenEvent& event : read.events) got.push_back(event.token);
      outcome = read.outcome;
    }
    writer.join();
    bool in_order = got.size() == kCount;
    for (std::size_t i = 0; i < got.size(); ++i) {
      in_order = in_order && got[i] == static_cast<Token>(i);
    }
    CHECK(in_order);
  });
}

TEST_CASE("channel: news are announced when a step is over, and once until they are read") {
  const auto queue = std::make_shared<ReadyQueue>();
  TokenChannel channel;
  channel.announce_on(queue, 7, Until::kNews);
  channel.push({1, "a"});
  CHECK(queue->wait(kAtOnce).empty());
  channel.announce_news();
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
  channel.push({2, "b"});
  channel.announce_news();
  CHECK(queue->wait(kAtOnce).empty());
  CHECK(channel.read(kAtOnce, Until::kNews).events.size() == 2);
  channel.announce_news();
  CHECK(queue->wait(kAtOnce).empty());
  channel.push({3, "c"});
  channel.announce_news();
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
}

TEST_CASE("channel: the end is announced") {
  const auto queue = std::make_shared<ReadyQueue>();
  TokenChannel channel;
  channel.announce_on(queue, 7, Until::kNews);
  channel.finish(outcome_with(FinishReason::kStop));
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
}

TEST_CASE("channel: who asked for the end alone is told of nothing else") {
  const auto queue = std::make_shared<ReadyQueue>();
  TokenChannel channel;
  channel.push({1, "a"});
  channel.announce_on(queue, 7, Until::kEnd);
  channel.push({2, "b"});
  channel.announce_news();
  CHECK(queue->wait(kAtOnce).empty());
  channel.finish(outcome_with(FinishReason::kStop));
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
}

TEST_CASE("channel: what happened before is announced at once") {
  const auto queue = std::make_shared<ReadyQueue>();
  TokenChannel with_token;
  with_token.push({1, "a"});
  with_token.announce_on(queue, 1, Until::kNews);
  TokenChannel ended;
  ended.finish(outcome_with(FinishReason::kStop));
  ended.announce_on(queue, 2, Until::kNews);
  TokenChannel quiet;
  quiet.announce_on(queue, 3, Until::kNews);
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{1, 2});
}

TEST_CASE("channel: a new queue learns of news that the old one was told of") {
  const auto old_queue = std::make_shared<ReadyQueue>();
  const auto new_queue = std::make_shared<ReadyQueue>();
  TokenChannel channel;
  channel.announce_on(old_queue, 1, Until::kNews);
  channel.push({1, "a"});
  channel.announce_news();
  channel.announce_on(new_queue, 2, Until::kNews);
  CHECK(new_queue->wait(kAtOnce) == std::vector<RequestId>{2});
}

TEST_CASE("channel: the end needs no memory to reach who waits for it") {
  const auto queue = std::make_shared<ReadyQueue>();
  TokenChannel channel;
  channel.announce_on(queue, 7, Until::kNews);
  for (int round = 0; round < 2; ++round) {  // A read makes the next announcement possible.
    channel.push({1, "a"});
    channel.announce_news();
    CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
    CHECK(channel.read(kAtOnce, Until::kNews).events.size() == 1);
  }
  Outcome outcome = outcome_with(FinishReason::kStop);
  outcome.stop_match = "a stop string that is too long to be kept without memory of its own";
  REQUIRE_FALSE(runs_out_of_memory(0, [&] { channel.finish(std::move(outcome)); }));
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
  CHECK(channel.read(kAtOnce, Until::kEnd).outcome->reason == FinishReason::kStop);
}

TEST_CASE("channel: a token that there is no memory for is not announced, the next one is") {
  const auto queue = std::make_shared<ReadyQueue>();
  TokenChannel channel;
  channel.announce_on(queue, 7, Until::kNews);
  CHECK(runs_out_of_memory(0, [&] { channel.push({1, "a"}); }));
  channel.announce_news();
  CHECK(queue->wait(kAtOnce).empty());
  channel.push({2, "b"});
  channel.announce_news();
  CHECK(queue->wait(kAtOnce) == std::vector<RequestId>{7});
}

}  // namespace
}  // namespace llmlocal::testing
