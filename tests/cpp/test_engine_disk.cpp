#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "engine_fixture.h"
#include "fake_folder.h"

namespace llmlocal::testing {
namespace {

CacheOptions kept_on(const std::shared_ptr<FakeDisk>& disk, const std::string& identity = "m") {
  CacheOptions options = EngineFixture::plenty();
  options.files = std::make_shared<PrefixFiles>(
      std::make_unique<FakeFolder>(disk),
      PrefixFilesOptions{.identity = identity,
                         .most_bytes = 1 << 20,
                         .most_age = std::chrono::hours(24 * 365 * 100)});
  return options;
}

FakeOptions memory_of(MemoryKind kind) {
  FakeOptions fake;
  fake.memory = kind;
  return fake;
}

std::int32_t cached(const Result& result) {
  return result.outcome.usage.cached_tokens;
}

TEST_CASE("disk: what one engine evaluated, the next one adopts") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    const auto disk = std::make_shared<FakeDisk>();
    const RequestSpec first = spec_of(some_tokens(100));
    Tokens answered = first.prompt;
    {
      EngineFixture fixture(memory_of(kind), kept_on(disk));
      const Result result = fixture.run(first);
      answered = answered + result.tokens;
    }
    EngineFixture fixture(memory_of(kind), kept_on(disk));
    const RequestSpec next = spec_of(answered + Tokens{1, 2, 3});
    const Result result = fixture.run(next);
    CHECK(cached(result) == std::ssize(answered) - 1);
    fixture.check_is_right(next, result);
    const EngineStats stats = fixture.engine().stats();
    CHECK(stats.disk_hits == 1);
    CHECK(stats.disk_tokens == answered.size() - 1);
    CHECK(stats.disk_read_bytes > 0);
  }
}

TEST_CASE("disk: the beginning that others share is adopted, also where states are whole") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    const auto disk = std::make_shared<FakeDisk>();
    const Tokens system = some_tokens(79, 1) + Tokens{FakeModel().end_token()};
    {
      EngineFixture(memory_of(kind), kept_on(disk)).run(spec_of(system + some_tokens(20, 2)));
    }
    EngineFixture fixture(memory_of(kind), kept_on(disk));
    const RequestSpec next = spec_of(system + some_tokens(20, 3));
    const Result result = fixture.run(next);
    CHECK(cached(result) == 80);
    fixture.check_is_right(next, result);
  }
}

TEST_CASE("disk: another model's states are not adopted, nor any by who keeps none") {
  const auto disk = std::make_shared<FakeDisk>();
  const RequestSpec spec = spec_of(some_tokens(100));
  {
    EngineFixture({}, kept_on(disk, "a")).run(spec);
  }
  CHECK(!disk->files.empty());
  CHECK(cached(EngineFixture({}, kept_on(disk, "b")).run(spec)) == 0);
  CHECK(cached(EngineFixture().run(spec)) == 0);
}

TEST_CASE("disk: short texts are not worth a file, and the same text is not written twice") {
  const auto disk = std::make_shared<FakeDisk>();
  {
    EngineFixture({}, kept_on(disk)).run(spec_of(some_tokens(30)));
  }
  CHECK(disk->files.empty());
  for (int i = 0; i < 3; ++i) EngineFixture({}, kept_on(disk)).run(spec_of(some_tokens(100)));
  CHECK(disk->files.size() == 1);
}

TEST_CASE("disk: a state that the decoder refuses costs time only") {
  const auto disk = std::make_shared<FakeDisk>();
  const RequestSpec spec = spec_of(some_tokens(100));
  {
    EngineFixture({}, kept_on(disk)).run(spec);
  }
  FakeOptions fake;
  fake.restore_works = [] { return false; };
  EngineFixture fixture(std::move(fake), kept_on(disk));
  const Result result = fixture.run(spec);
  CHECK(cached(result) == 0);
  fixture.check_is_right(spec, result);
}

// Has been written, in a folder that shuts its reads when the engine is there.
struct SlowDisk {
  explicit SlowDisk(const Tokens& text) {
    EngineFixture({}, kept_on(disk)).run(spec_of(text));
    fixture.emplace(FakeOptions{}, kept_on(disk));
    disk->reads.shut();
  }
  ~SlowDisk() { disk->reads.open(); }

  std::shared_ptr<FakeDisk> disk = std::make_shared<FakeDisk>();
  std::optional<EngineFixture> fixture;
};

TEST_CASE("disk: answers go on while a file is read") {
  const Tokens text = some_tokens(100);
  SlowDisk slow(text);
  const RequestSpec waits = spec_of(text + Tokens{1, 2});
  const auto waiting = slow.fixture->submit(waits);
  slow.disk->reads.await_step();
  // It came later, and a whole answer passes.
  const RequestSpec passes = spec_of(some_tokens(20, 5), 50);
  slow.fixture->check_is_right(passes, slow.fixture->run(passes));
  CHECK(slow.fixture->engine().stats().waiting == 1);
  slow.disk->reads.open();
  const Result result = read_to_end(*waiting);
  CHECK(cached(result) == 100);
  slow.fixture->check_is_right(waits, result);
}

TEST_CASE("disk: what many wait for is read once") {
  const Tokens text = some_tokens(100);
  SlowDisk slow(text);
  std::vector<RequestSpec> specs;
  for (Token i = 0; i < 12; ++i) specs.push_back(spec_of(text + Tokens{i, 2}));
  const auto requests = slow.fixture->engine().submit(specs);
  slow.disk->reads.await_step();
  slow.disk->reads.open();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Result result = read_to_end(*requests[i]);
    CHECK(cached(result) == 100);
    slow.fixture->check_is_right(specs[i], result);
  }
  CHECK(slow.fixture->engine().stats().disk_hits == 1);
  CHECK(slow.fixture->engine().stats().disk_read_bytes ==
        slow.disk->files.begin()->second.bytes.size());
}

TEST_CASE("disk: who no longer wants to wait for a file need not") {
  const Tokens text = some_tokens(100);
  SlowDisk slow(text);
  RequestSpec late = spec_of(text + Tokens{3});
  late.timeout = std::chrono::milliseconds(30);
  const auto cancelled = slow.fixture->submit(spec_of(text + Tokens{1}));
  const auto timed_out = slow.fixture->submit(std::move(late));
  slow.disk->reads.await_step();
  cancelled->cancel();
  CHECK(read_to_end(*cancelled).outcome.reason == FinishReason::kCancelled);
  CHECK(read_to_end(*timed_out).outcome.reason == FinishReason::kTimeout);
  // The next one has the file all the same.
  const auto next = slow.fixture->submit(spec_of(text + Tokens{2}));
  slow.disk->reads.open();
  CHECK(cached(read_to_end(*next)) == 100);
}

TEST_CASE("disk: a model may be closed while requests wait for a file") {
  const Tokens text = some_tokens(100);
  SlowDisk slow(text);
  const auto waiting = slow.fixture->submit(spec_of(text + Tokens{1}));
  slow.disk->reads.await_step();
  std::thread closer([&] { slow.fixture->engine().close(); });
  CHECK(!error_of(read_to_end(*waiting).outcome).empty());
  slow.disk->reads.open();
  closer.join();
}

TEST_CASE("disk: whatever fails there, answers are right") {
  for_random_cases(200, [](Random& random) {
    const auto disk = std::make_shared<FakeDisk>();
    const MemoryKind kind = random.pick(kAllKinds);
    const Tokens shared = some_tokens(90);
    for (int engine = 0; engine < 3; ++engine) {
      {
        const std::lock_guard lock(disk->mutex);
        disk->fails_at = disk->operations + random.below(40);
        for (auto& [name, file] : disk->files) {
          if (random.chance(20) && !file.bytes.empty()) {
            file.bytes[static_cast<std::size_t>(
                random.below(static_cast<int>(file.bytes.size())))] ^= std::byte{1};
          }
        }
      }
      EngineFixture fixture(memory_of(kind), kept_on(disk));
      for (int i = 0; i < 3; ++i) {
        const RequestSpec spec = spec_of(shared + some_tokens(10, random.below(4)));
        fixture.check_is_right(spec, fixture.run(spec));
      }
    }
  });
}

}  // namespace
}  // namespace llmlocal::testing
