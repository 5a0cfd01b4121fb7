// The encoder engine over a fake: packing, callers side by side, and every way in which it ends.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <new>
#include <optional>
#include <set>
#include <thread>

#include "base/errors.h"
#include "engine/encoder/encoder_engine.h"
#include "engine/ready_queue.h"
#include "fake_encoder.h"

namespace llmlocal::testing {
namespace {

Tokens text(Token name, std::size_t length) {
  Tokens tokens(length, 1);
  tokens[0] = name;
  return tokens;
}

Outcome await(EmbeddingJob& job) {
  const auto read = job.channel().read(kPatience, TokenChannel::Until::kEnd);
  if (!read.outcome) FAIL("the job did not end");
  return read.outcome ? *read.outcome : Outcome{};
}

std::string error_of(const Outcome& outcome) {
  try {
    if (outcome.error) std::rethrow_exception(outcome.error);
  } catch (const std::exception& error) {
    return error.what();
  }
  return {};
}

// An engine, its log, and the gate that holds its batches.
struct Fixture {
  explicit Fixture(FakeEncoderOptions given = {}) : options(std::move(given)) {
    engine.emplace(std::make_unique<FakeEncoder>(options, log));
  }
  ~Fixture() {
    options.gate->open();
    engine.reset();
    CHECK(log->violations().empty());
  }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  std::shared_ptr<EmbeddingJob> submit(std::vector<Tokens> texts,
                                       std::optional<double> timeout = {}) {
    EmbeddingSpec spec;
    spec.texts = std::move(texts);
    if (timeout) spec.timeout = std::chrono::duration<double>(*timeout);
    return engine->submit(std::move(spec));
  }
  // Holds the engine inside a batch of a text called 9999.
  std::shared_ptr<EmbeddingJob> hold() {
    options.gate->shut();
    auto job = submit({text(9999, 1)});
    options.gate->await_step();
    return job;
  }

  FakeEncoderOptions options;
  std::shared_ptr<EncoderLog> log = std::make_shared<EncoderLog>();
  std::optional<EncoderEngine> engine;
};

void check_vectors(const EmbeddingJob& job) {
  for (std::size_t i = 0; i < job.size(); ++i) {
    const auto vector = job.vectors().subspan(i * kFakeDimensions, kFakeDimensions);
    CHECK(std::ranges::equal(vector, FakeEncoder::vector_of(job.text(i))));
  }
}

}  // namespace

TEST_CASE("vectors come in the order of the texts, whatever order they are evaluated in") {
  Fixture fixture;
  std::vector<Tokens> texts;
  for (Token i = 0; i < 100; ++i)
    texts.push_back(text(i, 1 + static_cast<std::size_t>(i * 7 % 40)));
  const auto job = fixture.submit(texts);
  const Outcome outcome = await(*job);
  CHECK(error_of(outcome).empty());
  CHECK(outcome.reason == FinishReason::kStop);
  check_vectors(*job);
  std::size_t tokens = 0;
  for (const Tokens& each : texts) tokens += each.size();
  CHECK(outcome.usage.prompt_tokens == static_cast<std::int32_t>(tokens));
  const EncoderStats stats = fixture.engine->stats();
  CHECK(stats.texts == 100);
  CHECK(stats.tokens == tokens);
  CHECK(stats.waiting == 0);
}

TEST_CASE("no texts end at once") {
  Fixture fixture;
  const auto job = fixture.submit({});
  CHECK(error_of(await(*job)).empty());
  CHECK(fixture.log->batches().empty());
}

TEST_CASE("a batch is filled with the longest texts that fit") {
  Fixture fixture;
  const auto held = fixture.hold();
  const auto job =
      fixture.submit({text(1, 3), text(2, 10), text(3, 20), text(4, 6), text(5, 4), text(6, 2)});
  fixture.options.gate->open();
  await(*job);
  // 20 tokens are more than a batch has, and go alone.
  const std::vector<TextNames> expected = {{9999}, {3}, {2, 4}, {5, 1, 6}};
  CHECK(fixture.log->batches() == expected);
}

TEST_CASE("texts of several callers share a batch, and a late question overtakes many documents") {
  Fixture fixture;
  const auto held = fixture.hold();
  std::vector<Tokens> documents;
  for (Token i = 0; i < 50; ++i) documents.push_back(text(100 + i, 4));
  const auto many = fixture.submit(documents);
  const auto one = fixture.submit({text(7, 4)});
  fixture.options.gate->next_step();
  CHECK(fixture.log->batches().back() == TextNames{149, 7, 148, 147});
  fixture.options.gate->open();
  await(*one);
  await(*many);
  check_vectors(*many);
  check_vectors(*one);
}

TEST_CASE("what is cancelled or late ends within one batch, and costs no other") {
  Fixture fixture;
  const auto held = fixture.hold();
  const auto cancelled = fixture.submit({text(1, 8), text(2, 8), text(3, 8)});
  const auto late = fixture.submit({text(4, 8)}, 1e-6);
  const auto other = fixture.submit({text(5, 8)});
  cancelled->cancel();
  fixture.options.gate->open();
  CHECK(await(*cancelled).reason == FinishReason::kCancelled);
  CHECK(await(*late).reason == FinishReason::kTimeout);
  CHECK(await(*other).reason == FinishReason::kStop);
  check_vectors(*other);
  CHECK(fixture.log->batches() == std::vector<TextNames>{{9999}, {5}});
}

TEST_CASE("a batch that nobody waits for any more is given up in its midst") {
  Fixture fixture;
  const auto held = fixture.hold();
  held->cancel();  // The gate stays shut: only the check can end the batch.
  CHECK(await(*held).reason == FinishReason::kCancelled);
}

TEST_CASE("close ends a batch in its midst, and every caller with the reason") {
  Fixture fixture;
  const auto held = fixture.hold();
  const auto waiting = fixture.submit({text(1, 8)});
  fixture.engine->close();
  CHECK(error_of(await(*held)) == "the model was closed");
  CHECK(error_of(await(*waiting)) == "the model was closed");
  CHECK_THROWS_AS(fixture.submit({text(1, 1)}), EngineClosedError);
  fixture.engine->close();
}

TEST_CASE("what fails costs the job that it hits, and no other of its batch") {
  FakeEncoderOptions options;
  options.on_encode = [](const TextNames& names) {
    if (std::ranges::find(names, 13) != names.end()) throw EngineError("unlucky");
  };
  Fixture fixture(options);
  const auto held = fixture.hold();
  const auto bad = fixture.submit({text(13, 4), text(14, 4)});
  const auto good = fixture.submit({text(1, 4)});
  fixture.options.gate->open();
  CHECK(error_of(await(*bad)) == "unlucky");
  CHECK(error_of(await(*good)).empty());
  check_vectors(*good);
  CHECK(error_of(await(*fixture.submit({text(2, 4)}))).empty());
}

TEST_CASE("a vector that is no number fails its job alone") {
  FakeEncoderOptions options;
  options.on_value = [](Token name, float value) {
    return name == 13 ? std::numeric_limits<float>::quiet_NaN() : value;
  };
  Fixture fixture(options);
  const auto held = fixture.hold();
  const auto bad = fixture.submit({text(13, 4)});
  const auto good = fixture.submit({text(1, 4)});
  fixture.options.gate->open();
  CHECK(error_of(await(*bad)).find("not a number") != std::string::npos);
  CHECK(error_of(await(*good)).empty());
}

TEST_CASE("an encoder that is beyond use ends the engine, and all calls say why") {
  FakeEncoderOptions options;
  options.on_encode = [](const TextNames&) { throw AbortError("llama.cpp gave up: why"); };
  Fixture fixture(options);
  const std::string reason = error_of(await(*fixture.submit({text(1, 4)})));
  CHECK(reason.find("gave up: why") != std::string::npos);
  CHECK(reason.find("load it again") != std::string::npos);
  CHECK_THROWS_WITH_AS(fixture.submit({text(1, 1)}), reason.c_str(), EngineError);
}

TEST_CASE("want of memory fails what it hits, and the engine goes on") {
  std::atomic<bool> scarce{true};
  FakeEncoderOptions options;
  options.on_encode = [&](const TextNames&) {
    if (scarce) throw std::bad_alloc();
  };
  Fixture fixture(options);
  CHECK(error_of(await(*fixture.submit({text(1, 4)}))).find("memory") != std::string::npos);
  scarce = false;
  CHECK(error_of(await(*fixture.submit({text(1, 4)}))).empty());
}

TEST_CASE("what is out of its range is refused at once") {
  Fixture fixture;
  CHECK_THROWS_AS(fixture.submit({Tokens{}}), ParameterError);
  CHECK_THROWS_AS(fixture.submit({text(-1, 1)}), ParameterError);
  CHECK_THROWS_AS(fixture.submit({text(10'000, 1)}), ParameterError);
  CHECK_THROWS_AS(fixture.submit({text(1, 65)}), ContextOverflowError);
  CHECK_THROWS_AS(fixture.submit({text(1, 1)}, 0.0), ParameterError);
}

TEST_CASE("the end is announced to a queue that many are watched with") {
  Fixture fixture;
  const auto held = fixture.hold();
  const auto queue = std::make_shared<ReadyQueue>();
  held->channel().announce_on(queue, 5, TokenChannel::Until::kEnd);
  fixture.options.gate->open();
  CHECK(queue->wait(kPatience) == std::vector<RequestId>{5});
}

TEST_CASE("many threads at once, some of which give up") {
  Fixture fixture;
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int caller = 0; caller < 6; ++caller) {
    threads.emplace_back([&fixture, &wrong, caller] {
      for (int round = 0; round < 40; ++round) {
        std::vector<Tokens> texts;
        for (Token i = 0; i < 5; ++i) {
          const auto length = static_cast<std::size_t>((caller + round + i) % 30 + 1);
          texts.push_back(text(caller * 1000 + round * 10 + i, length));
        }
        const auto job = fixture.submit(texts);
        if (round % 7 == 3) job->cancel();
        const auto read = job->channel().read(kPatience, TokenChannel::Until::kEnd);
        if (!read.outcome) {
          ++wrong;
          continue;
        }
        if (read.outcome->reason != FinishReason::kStop) continue;
        for (std::size_t i = 0; i < job->size(); ++i) {
          const auto vector = job->vectors().subspan(i * kFakeDimensions, kFakeDimensions);
          if (!std::ranges::equal(vector, FakeEncoder::vector_of(job->text(i)))) ++wrong;
        }
      }
    });
  }
  for (std::thread& each : threads) each.join();
  CHECK(wrong == 0);
}

}  // namespace llmlocal::testing
