// Whatever runs beside a request, and whatever is adopted for it, it gets the answer that it would
// get alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "engine_fixture.h"
#include "script.h"

namespace llmlocal::testing {
namespace {

struct Case {
  FakeOptions fake;
  CacheOptions options;
};

Case random_case(Random& random, bool faulty) {
  Case it;
  it.fake.memory = random.pick(kAllKinds);
  it.fake.context_length = 128;
  it.fake.batch_capacity = static_cast<std::size_t>(random.pick<int>({1, 2, 7, 32, 300}));
  it.fake.streams = random.chance(80) ? 1 : 2;
  it.fake.room = random.pick<Position>({8, 50, 128});
  it.fake.model.answers_end = random.chance(50);
  it.options.max_streams = random.between(1, 8);
  it.options.kv_bytes = static_cast<std::size_t>(random.pick<int>({0, 1, 3, 1000})) * kStreamBytes;
  it.options.store_bytes = static_cast<std::size_t>(random.pick<int>({0, 2000, 1 << 20}));
  if (!faulty) return it;
  const auto dice = std::make_shared<Random>(static_cast<std::uint64_t>(random.below(1 << 30)));
  it.fake.copy_works = it.fake.save_works =
      it.fake.restore_works = [dice] { return dice->chance(70); };
  it.fake.survives_reshape = [dice](StreamId) { return dice->chance(50); };
  it.fake.grows_to = random.between(2, 8);
  it.fake.room_grows_to = random.pick<Position>({8, 64, kAnyRoom});
  return it;
}

void play(Random& random, bool faulty, int cancels) {
  Case it = random_case(random, faulty);
  const auto script = std::make_shared<Script>();
  it.fake.on_decode = [script](const Batch&) { script->on_step(); };
  std::vector<Tokens> past;
  constexpr int kRequests = 20;
  for (int i = 0; i < kRequests; ++i) {
    // Some come together, some while others run, some when the engine has been idle.
    script->submit_at(random.below(60), random_spec(random, it.fake.model, past));
  }
  for (; cancels > 0; --cancels) {
    script->cancel_at(random.below(80), static_cast<std::size_t>(random.below(kRequests)));
  }
  EngineFixture fixture(it.fake, it.options);
  script->run_on(fixture.engine());
  while (const auto request = script->next()) {
    const Result result = read_to_end(*request);
    if (result.outcome.reason != FinishReason::kCancelled) {
      fixture.check_is_right(request->spec(), result);
      continue;
    }
    CHECK(request->is_cancelled());
    CHECK(error_of(result.outcome) == "");
    Tokens expected = fixture.reference(request->spec()).tokens;
    expected.resize(std::min(expected.size(), result.tokens.size()));
    CHECK(result.tokens == expected);
  }
  const EngineStats stats = fixture.engine().stats();
  CHECK(stats.streams_active == 0);
  CHECK(stats.waiting == 0);
  CHECK(stats.requests == kRequests);
  CHECK(stats.store_bytes <= stats.store_budget);
}

TEST_CASE("batching: who waits for a stream gets it at once") {
  Case it;
  it.options.max_streams = 1;
  EngineFixture fixture(it.fake, it.options);
  std::vector<std::shared_ptr<Request>> requests;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i) requests.push_back(fixture.submit(spec_of(some_tokens(10), 1)));
  for (const auto& request : requests) read_to_end(*request);
  // A look at the clock, ten milliseconds later, would make five seconds of them.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(3));
}

TEST_CASE("batching: any requests in any order get what each would get alone") {
  for_random_cases(150, [](Random& random) { play(random, false, 0); });
}

TEST_CASE("batching: a cache that refuses and forgets makes it slower, never wrong") {
  for_random_cases(150, [](Random& random) { play(random, true, 0); });
}

TEST_CASE("batching: requests that are cancelled disturb no other") {
  for_random_cases(150, [](Random& random) { play(random, random.chance(30), 10); });
}

}  // namespace
}  // namespace llmlocal::testing
