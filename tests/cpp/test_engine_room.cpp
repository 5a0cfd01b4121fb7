// Streams are as long as the texts need, and as many as there is memory for.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine_fixture.h"

namespace llmlocal::testing {
namespace {

// Streams of 32 tokens at first, and memory for 8 of them; 4 of 64, 2 of 128 or one of 256.
FakeOptions short_at_first() {
  FakeOptions fake;
  fake.room = 32;
  return fake;
}
const CacheOptions kMemoryForOneLongText{
    .max_streams = 8, .kv_bytes = kStreamBytes, .store_bytes = 1U << 20U};

std::vector<RequestSpec> specs_of(int count, std::size_t length, std::int32_t max_tokens) {
  std::vector<RequestSpec> specs;
  for (int i = 0; i < count; ++i) {
    specs.push_back(spec_of(some_tokens(length, i + static_cast<int>(length)), max_tokens));
  }
  return specs;
}

std::size_t most_at_once(const std::vector<Batch>& batches) {
  std::size_t most = 0;
  for (const Batch& batch : batches) most = std::max(most, streams_in(batch).size());
  return most;
}

TEST_CASE("room: streams have the room that texts need") {
  FakeOptions fake;
  fake.context_length = 250;
  fake.room = 40;
  EngineFixture fixture(std::move(fake));
  const auto room_after = [&](std::size_t prompt, std::int32_t max_tokens) {
    const RequestSpec spec = spec_of(some_tokens(prompt), max_tokens);
    fixture.check_is_right(*fixture.submit(spec));
    return fixture.engine().stats().stream_tokens;
  };
  CHECK(room_after(30, 11) == 40);  // The last token of an answer is not evaluated.
  CHECK(fixture.engine().stats().stream_bytes == kStreamBytes * 40 / 250);
  CHECK(room_after(30, 12) == 80);
  CHECK(room_after(100, 1) == 160);
  CHECK(room_after(10, RequestSpec::kUnlimited) == 250);
  CHECK(room_after(10, 1) == 250);
  CHECK(fixture.engine().stats().streams == 1);
}

TEST_CASE("room: requests that come together make room once") {
  FakeOptions fake;
  fake.room = 40;
  EngineFixture fixture(std::move(fake));
  std::vector<RequestSpec> specs;
  for (const std::size_t length : {30, 150, 60}) specs.push_back(spec_of(some_tokens(length)));
  for (const auto& request : fixture.engine().submit(std::move(specs))) {
    fixture.check_is_right(*request);
  }
  CHECK(fixture.log().reshapes == 1);
  CHECK(fixture.log().restarts == 0);
}

TEST_CASE("room: a long context takes no streams from short texts") {
  EngineFixture fixture(short_at_first(), kMemoryForOneLongText);
  CHECK(fixture.engine().stats().streams_limit == 8);
  for (const auto& request : fixture.engine().submit(specs_of(8, 10, 20))) {
    fixture.check_is_right(*request);
  }
  CHECK(most_at_once(fixture.log().batches()) == 8);
  CHECK(fixture.engine().stats().streams == 8);
}

TEST_CASE("room: a long text has its own among short ones, and then they are many again") {
  for (const MemoryKind kind : kAllKinds) {
    CAPTURE(name_of(kind));
    FakeOptions fake = short_at_first();
    fake.memory = kind;
    EngineFixture fixture(std::move(fake), kMemoryForOneLongText);
    const auto check_all = [&](std::vector<RequestSpec> specs) {
      for (const auto& request : fixture.engine().submit(std::move(specs))) {
        fixture.check_is_right(*request);
      }
    };
    std::vector<RequestSpec> mixed = specs_of(4, 10, 20);
    mixed.push_back(spec_of(some_tokens(100, 50), 20));
    for (RequestSpec& spec : specs_of(4, 12, 18)) mixed.push_back(std::move(spec));
    check_all(std::move(mixed));
    CHECK(most_at_once(fixture.log().batches()) <= 8);
    const std::size_t before = fixture.log().batches().size();
    check_all(specs_of(8, 11, 20));
    std::vector<Batch> batches = fixture.log().batches();
    batches.erase(batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(before));
    CHECK(most_at_once(batches) == 8);
    CHECK(fixture.engine().stats().stream_tokens == 32);
    CHECK(fixture.log().restarts == 0);
  }
}

TEST_CASE(
    "room: answers that outgrow their streams one by one go on before those that came later") {
  FakeOptions fake = short_at_first();
  fake.batch_capacity = 300;
  EngineFixture fixture(std::move(fake), kMemoryForOneLongText);
  std::vector<RequestSpec> specs;
  for (int i = 0; i < 8; ++i) {  // The first to arrive is the first to outgrow its stream.
    specs.push_back(spec_of(some_tokens(static_cast<std::size_t>(29 - i), i), 100));
  }
  std::vector<double> ends;
  for (const auto& request : fixture.engine().submit(std::move(specs))) {
    const Result result = read_to_end(*request);
    fixture.check_is_right(request->spec(), result);
    ends.push_back(result.outcome.timings.total_s);
  }
  CHECK(*std::max_element(ends.begin(), ends.begin() + 4) <
        *std::min_element(ends.begin() + 4, ends.end()));
}

TEST_CASE("room: of answers that outgrow their streams together, the last ones wait") {
  FakeOptions fake = short_at_first();
  fake.batch_capacity = 300;
  EngineFixture fixture(std::move(fake), kMemoryForOneLongText);
  fixture.gate().shut();
  const auto requests = fixture.engine().submit(specs_of(8, 20, 60));
  fixture.gate().await_step();
  while (fixture.engine().stats().waiting == 0) fixture.gate().next_step();
  CHECK(fixture.engine().stats().streams_active == 4);
  CHECK(fixture.engine().stats().stream_tokens == 64);
  fixture.gate().open();
  std::vector<double> ends;
  for (const auto& request : requests) {
    const Result result = read_to_end(*request);
    fixture.check_is_right(request->spec(), result);
    ends.push_back(result.outcome.timings.total_s);
  }
  CHECK(*std::max_element(ends.begin(), ends.begin() + 4) <
        *std::min_element(ends.begin() + 4, ends.end()));
  CHECK(fixture.log().restarts == 0);
}

}  // namespace
}  // namespace llmlocal::testing
