// Several tokens of an answer in one step: what is chosen is what would be chosen one by one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "engine_fixture.h"
#include "scripted_mask.h"

namespace llmlocal::testing {
namespace {

// Guesses right for so many tokens, and then wrong.
class FakeDrafter : public Drafter {
 public:
  FakeDrafter(FakeModel model, std::uint64_t seed, int percent)
      : model_(std::move(model)), random_(seed), percent_(percent) {}

  std::size_t draft(std::span<const Token> prompt,
                    std::span<const Token> answer,
                    std::span<Token> drafts) override {
    Tokens text(prompt.begin(), prompt.end());
    text.insert(text.end(), answer.begin(), answer.end());
    const std::size_t count = std::min(drafts.size(), static_cast<std::size_t>(random_.below(5)));
    for (std::size_t i = 0; i < count; ++i) {
      drafts[i] = random_.chance(percent_) ? model_.next(text) : random_.below(31);
      text.push_back(drafts[i]);
    }
    return count;
  }

 private:
  FakeModel model_;
  Random random_;
  int percent_;
};

TEST_CASE("drafts: right or wrong, answers are what they are without them") {
  for_random_cases(60, [](Random& random) {
    FakeOptions fake;
    fake.memory = random.pick(kAllKinds);
    fake.model.answers_end = random.chance(50);
    fake.batch_capacity = static_cast<std::size_t>(random.pick<int>({4, 9, 32}));
    fake.outputs = static_cast<std::size_t>(random.pick<int>({4, 8, 20}));
    fake.context_length = 100;
    fake.room = random.pick<Position>({20, 100});
    EngineFixture fixture(
        std::move(fake),
        {.max_streams = 4, .kv_bytes = 3 * kStreamBytes, .store_bytes = 1U << 20U});
    std::vector<RequestSpec> specs;
    for (int i = random.between(1, 6); i > 0; --i) {
      specs.push_back(spec_of(some_tokens(static_cast<std::size_t>(random.between(1, 40)), i),
                              random.pick<std::int32_t>({1, 5, 40, RequestSpec::kUnlimited})));
      if (random.chance(80)) {
        specs.back().drafter = std::make_shared<FakeDrafter>(
            fixture.model(), static_cast<std::uint64_t>(i), random.pick<int>({0, 60, 100}));
      }
    }
    for (const auto& request : fixture.engine().submit(std::move(specs))) {
      fixture.check_is_right(*request);
    }
  });
}

TEST_CASE("drafts: those that are right save steps") {
  EngineFixture fixture;
  RequestSpec spec = spec_of(some_tokens(5), 40);
  spec.drafter = std::make_shared<FakeDrafter>(fixture.model(), 1, 100);
  fixture.check_is_right(*fixture.submit(std::move(spec)));
  CHECK(fixture.engine().stats().steps < 30);
  CHECK(fixture.engine().stats().completion_tokens == 40);
}

TEST_CASE("drafts: an answer is held to its mask with them too") {
  EngineFixture fixture;
  const auto mask = mask_of(some_tokens(20, 3));
  RequestSpec spec = spec_of(some_tokens(5), 40);
  spec.mask = mask;
  spec.drafter = std::make_shared<FakeDrafter>(fixture.model(), 1, 50);
  CHECK(fixture.run(std::move(spec)).tokens == some_tokens(20, 3));
  CHECK(mask->accepted() == some_tokens(20, 3));
}

}  // namespace
}  // namespace llmlocal::testing
