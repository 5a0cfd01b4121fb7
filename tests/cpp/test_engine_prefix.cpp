#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

FakeOptions memory_of(MemoryKind kind) {
  FakeOptions fake;
  fake.memory = kind;
  return fake;
}

// How often the tokens at these positions were evaluated, all requests together.
std::size_t rows_below(const DecoderLog& log, Position end) {
  std::size_t rows = 0;
  for (const Batch& batch : log.batches()) {
    rows += static_cast<std::size_t>(
        std::ranges::count_if(batch.positions, [&](Position position) { return position < end; }));
  }
  return rows;
}

std::int32_t cached(const Result& result) {
  return result.outcome.usage.cached_tokens;
}

TEST_CASE("prefix: sixteen requests that come together with one long text evaluate it once") {
  for (const MemoryKind kind : kAllKinds) {
    for (const std::size_t batch_capacity : {16U, 100U, 500U}) {
      CAPTURE(name_of(kind));
      CAPTURE(batch_capacity);
      FakeOptions fake = memory_of(kind);
      fake.batch_capacity = batch_capacity;
      EngineFixture fixture(std::move(fake));
      constexpr Position kShared = 120;
      const Tokens shared = some_tokens(kShared);
      std::vector<RequestSpec> specs;
      for (Token i = 0; i < 16; ++i) specs.push_back(spec_of(shared + Tokens{i, i, 7}, 10));
      std::vector<std::int32_t> cached_tokens;
      for (const auto& request : fixture.engine().submit(std::move(specs))) {
        const Result result = read_to_end(*request);
        CHECK(result.tokens == fixture.reference(request->spec()).tokens);
        cached_tokens.push_back(cached(result));
      }
      CHECK(rows_below(fixture.log(), kShared) == kShared);
      std::ranges::sort(cached_tokens);
      std::vector<std::int32_t> expected(16, kShared);
      expected[0] = 0;
      CHECK(cached_tokens == expected);
      CHECK(fixture.engine().stats().prompt_tokens == kShared + 16 * 3);
      CHECK(fixture.engine().stats().prefix_hits == 15);
    }
  }
}

TEST_CASE("prefix: equal prompts that come together are evaluated once, but for their last token") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    EngineFixture fixture(memory_of(kind));
    std::vector<RequestSpec> specs(16, spec_of(some_tokens(100)));
    for (const auto& request : fixture.engine().submit(std::move(specs))) {
      fixture.check_is_right(*request);
    }
    CHECK(rows_below(fixture.log(), 99) == 99);
    CHECK(fixture.engine().stats().prompt_tokens == 99 + 16);
  }
}

TEST_CASE("prefix: without a store, plain memory shares all the same") {
  EngineFixture fixture({}, {.max_streams = 8, .kv_bytes = 1000 * kStreamBytes});
  const Tokens shared = some_tokens(120);
  std::vector<RequestSpec> specs;
  for (Token i = 0; i < 16; ++i) specs.push_back(spec_of(shared + Tokens{i, i}, 10));
  for (const auto& request : fixture.engine().submit(std::move(specs))) {
    fixture.check_is_right(*request);
  }
  CHECK(rows_below(fixture.log(), 120) == 120);
}

// Requests whose texts branch, like conversations under few system prompts: the number of tokens
// that are different as prefixes is what must be evaluated.
TEST_CASE("prefix: a tree of texts that come together is evaluated once along each branch") {
  for_random_cases(60, [](Random& random) {
    FakeOptions fake = memory_of(random.pick(kAllKinds));
    fake.batch_capacity = static_cast<std::size_t>(random.between(8, 200));
    EngineFixture fixture(std::move(fake));
    std::vector<RequestSpec> specs;
    std::set<Tokens> prefixes;
    for (Token i = 0; i < 16; ++i) {
      // No two branches begin with the same token, so what is shared is always worth sharing.
      const Token trunk = random.below(2);
      const Token branch = random.below(4);
      Tokens prompt = Tokens{trunk} + some_tokens(40, trunk);
      if (branch > 0) prompt = prompt + Tokens{branch} + some_tokens(30, branch);
      prompt = prompt + Tokens{10 + i, 7};
      for (auto end = prompt.begin() + 1; end <= prompt.end(); ++end) {
        prefixes.emplace(prompt.begin(), end);
      }
      specs.push_back(spec_of(std::move(prompt), 5));
    }
    for (const auto& request : fixture.engine().submit(std::move(specs))) {
      CHECK(read_to_end(*request).tokens == fixture.reference(request->spec()).tokens);
    }
    CHECK(fixture.engine().stats().prompt_tokens == prefixes.size());
  });
}

TEST_CASE("prefix: a conversation that goes on evaluates only what is new") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    EngineFixture fixture(memory_of(kind));
    const Tokens question = some_tokens(50, 1);
    const Result first = fixture.run(spec_of(question, 10));
    const Tokens talk = question + first.tokens;
    const Result second = fixture.run(spec_of(talk + some_tokens(20, 2), 10));
    CHECK(cached(second) == 50 + 10 - 1);  // The last token was sampled, never evaluated.
    CHECK(second.tokens == fixture.reference(spec_of(talk + some_tokens(20, 2), 10)).tokens);
  }
}

TEST_CASE("prefix: conversations that take turns in one stream come back from the store") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    CacheOptions options = EngineFixture::plenty();
    options.max_streams = 1;
    EngineFixture fixture(memory_of(kind), options);
    std::vector<Tokens> talks;
    for (int each = 0; each < 4; ++each) talks.push_back(some_tokens(40, each));
    for (int turn = 0; turn < 3; ++turn) {
      for (Tokens& talk : talks) {
        const Result result = fixture.run(spec_of(talk, 5));
        const auto evaluated_before = static_cast<std::int32_t>(talk.size()) - 10 - 1;
        CHECK(cached(result) == (turn == 0 ? 0 : evaluated_before));
        CHECK(result.tokens == fixture.reference(spec_of(talk, 5)).tokens);
        talk = talk + result.tokens + some_tokens(10, turn);
      }
    }
  }
}

// Of a windowed stream there is a copy of its present end only: its prompt is for those who come
// when it is free.
TEST_CASE("prefix: a running request's prompt can be continued by another") {
  for (const MemoryKind kind : {MemoryKind::kPlain, MemoryKind::kWholeStates}) {
    CAPTURE(name_of(kind));
    EngineFixture fixture(memory_of(kind));
    const Tokens prompt = some_tokens(60);
    fixture.gate().shut();
    const auto running = fixture.submit(spec_of(prompt, 50));
    fixture.gate().await_step();
    for (int step = 0; step < 5; ++step) fixture.gate().next_step();
    const auto other = fixture.submit(spec_of(prompt + some_tokens(20, 9)));
    fixture.gate().open();
    CHECK(cached(read_to_end(*other)) == 60);
    fixture.check_is_right(*running);
  }
}

TEST_CASE("prefix: a request that shares nothing does not wait for one that others follow") {
  EngineFixture fixture;
  const Tokens shared = some_tokens(100);
  fixture.gate().shut();
  std::vector<RequestSpec> specs;
  specs.push_back(spec_of(shared + Tokens{1}));
  specs.push_back(spec_of(shared + Tokens{2}));
  specs.push_back(spec_of(some_tokens(3, 5)));
  const auto requests = fixture.engine().submit(std::move(specs));
  fixture.gate().await_step();
  CHECK(fixture.engine().stats().waiting == 1);
  fixture.gate().open();
  for (const auto& request : requests) fixture.check_is_right(*request);
}

TEST_CASE("prefix: when the leader is cancelled its followers go on from where it was") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    EngineFixture fixture(memory_of(kind));
    const Tokens shared = some_tokens(100);
    fixture.gate().shut();
    std::vector<RequestSpec> specs;
    for (Token i = 0; i < 4; ++i) specs.push_back(spec_of(shared + Tokens{i}));
    const auto requests = fixture.engine().submit(std::move(specs));
    fixture.gate().await_step();
    fixture.gate().next_step();
    requests[0]->cancel();
    CHECK(read_to_end(*requests[0]).outcome.reason == FinishReason::kCancelled);
    fixture.gate().open();
    for (std::size_t i = 1; i < 4; ++i) fixture.check_is_right(*requests[i]);
    // 32 tokens of the leader's second step were begun; one follower in turn leads the others.
    const std::size_t kept = kind == MemoryKind::kWholeStates ? 0 : 32;
    CHECK(fixture.engine().stats().prompt_tokens == 32 + (100 - kept) + 3);
  }
}

TEST_CASE("prefix: the store keeps to its budget, and more of it saves more") {
  std::vector<std::uint64_t> evaluated;
  for (const std::size_t budget : {std::size_t{0}, std::size_t{2500}, std::size_t{1} << 20U}) {
    EngineFixture fixture({}, {.max_streams = 1, .kv_bytes = kStreamBytes, .store_bytes = budget});
    for (int round = 0; round < 3; ++round) {
      for (int talk = 0; talk < 5; ++talk) {
        fixture.check_works(talk);
        CHECK(fixture.engine().stats().store_bytes <= budget);
      }
    }
    evaluated.push_back(fixture.engine().stats().prompt_tokens);
  }
  CHECK(evaluated[0] == 15 * 20);
  CHECK(evaluated[1] <= evaluated[0]);
  CHECK(evaluated[2] == 5 * 20 + 10);
}

}  // namespace
}  // namespace llmlocal::testing
