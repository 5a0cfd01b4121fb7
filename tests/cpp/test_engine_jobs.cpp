#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "engine/streams/prefix_file.h"
#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

TEST_CASE("jobs: are done by the engine's thread, while requests run and while none do") {
  EngineFixture fixture;
  std::thread::id worker;
  fixture.engine().perform([&](StreamPool&) { worker = std::this_thread::get_id(); });
  CHECK(worker != std::this_thread::get_id());
  const auto request = fixture.submit(spec_of(some_tokens(20), 100));
  int done = 0;
  for (int i = 0; i < 5; ++i) {
    fixture.engine().perform([&](StreamPool&) {
      CHECK(std::this_thread::get_id() == worker);
      ++done;
    });
  }
  CHECK(done == 5);
  fixture.check_is_right(*request);
}

TEST_CASE("jobs: what one throws comes to who handed it in, and harms nobody else") {
  EngineFixture fixture;
  CHECK_THROWS_AS(fixture.engine().perform([](StreamPool&) { throw std::runtime_error("no"); }),
                  std::runtime_error);
  fixture.check_works();
}

TEST_CASE("jobs: of an engine that was closed, or is closed meanwhile, end") {
  for_random_cases(50, [](Random& random) {
    EngineFixture fixture;
    std::atomic<int> ended = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 3; ++i) {
      callers.emplace_back([&] {
        try {
          for (;;) fixture.engine().perform([](StreamPool&) {});
        } catch (const EngineClosedError&) {
          ++ended;
        }
      });
    }
    for (int i = random.below(50); i > 0; --i) std::this_thread::yield();
    fixture.engine().close();
    for (std::thread& caller : callers) caller.join();
    CHECK(ended == 3);
  });
}

TEST_CASE("jobs: a state is taken out of one engine and put into another") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake;
    fake.memory = kind;
    fake.has_parts = true;
    const RequestSpec first = spec_of(some_tokens(50));
    std::optional<PrefixStore::Entry> entry;
    {
      EngineFixture fixture(fake);
      const Tokens talk = first.prompt + fixture.run(first).tokens;
      fixture.engine().perform([&](StreamPool& pool) { entry = pool.take_out(talk); });
      fixture.engine().perform(
          [&](StreamPool& pool) { CHECK(!pool.take_out(some_tokens(9, 7) + talk)); });
    }
    REQUIRE(entry);
    const std::vector<std::byte> bytes = encode_entry("m", *entry);
    CHECK(!decode_entry("n", bytes));
    CHECK(!decode_entry("m", std::span(bytes).first(bytes.size() - 1)));
    auto read = decode_entry("m", bytes);
    REQUIRE(read);
    fake.gate = std::make_shared<StepGate>();
    EngineFixture other(fake);
    other.engine().perform([&](StreamPool& pool) { pool.put_in(std::move(*read)); });
    const RequestSpec next = spec_of(entry->key.tokens + Tokens{1, 2});
    const Result result = other.run(next);
    CHECK(result.outcome.usage.cached_tokens == std::ssize(entry->key.tokens));
    other.check_is_right(next, result);
  }
}

}  // namespace
}  // namespace llmlocal::testing
