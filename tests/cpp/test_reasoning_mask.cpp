#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/errors.h"
#include "property.h"
#include "sampling/reasoning_mask.h"
#include "scripted_mask.h"

namespace llmlocal::testing {
namespace {

class Words : public TokenTexts {
 public:
  // Without the last one, which has all of the closing tag in it.
  explicit Words(bool with_last = false) : size_(with_last ? kAll : kAll - 1) {}

  std::int32_t vocab_size() const override { return size_; }
  std::string_view text(Token token) const noexcept override {
    return words_[static_cast<std::size_t>(token)];
  }
  Token of(std::string_view word) const {
    return static_cast<Token>(std::ranges::find(words_, word) - words_.begin());
  }

 private:
  std::vector<std::string> words_ = {"a",
                                     "b",
                                     "<",
                                     ">",
                                     "/",
                                     "think",
                                     "<think>",
                                     "</think>",
                                     ">b",
                                     "</",
                                     "> \n",
                                     "\n",
                                     "\n\n",
                                     "\xC3",
                                     "\xA9",
                                     "{",
                                     "}",
                                     "x</think>a"};
  static constexpr std::int32_t kAll = 18;
  std::int32_t size_;
};

const Words kWords(true);

Tokens tokens_of(const std::vector<std::string_view>& words) {
  Tokens tokens;
  for (const std::string_view word : words) tokens.push_back(kWords.of(word));
  return tokens;
}

std::shared_ptr<const ReasoningFormat> format(bool with_last_word = false) {
  ReasoningFormat::Tags tags;
  tags.opening = {"<think>", tokens_of({"<think>"})};
  tags.closing = {"</think>", tokens_of({"\n", "</think>", "\n\n"})};
  tags.blanks = tokens_of({"\n", "\n\n"});
  return std::make_shared<ReasoningFormat>(std::move(tags),
                                           std::make_shared<Words>(with_last_word));
}

// Says what a mask allows, as words.
std::string legal(ReasoningMask& mask) {
  if (mask.is_open()) return "all";
  std::vector<std::uint32_t> bits(1);
  REQUIRE(mask.fill(bits));
  std::string words;
  for (Token token = 0; token < kWords.vocab_size() - 1; ++token) {
    if ((bits[0] >> token & 1U) == 0) continue;
    words += (words.empty() ? "" : " ") + std::string(kWords.text(token));
  }
  return words;
}

void accept(ReasoningMask& mask, const std::vector<std::string_view>& words) {
  for (const Token token : tokens_of(words)) REQUIRE(mask.accept(token));
}

std::shared_ptr<ScriptedMask> braces() {
  return mask_of(tokens_of({"{", "}"}));
}

TEST_CASE("reasoning: the answer is held to its mask once the reasoning is over") {
  for (const auto& closing : std::vector<std::vector<std::string_view>>{
           {"</think>"}, {"<", "/", "think", ">"}, {"</", "think", "> \n"}}) {
    ReasoningMask mask(format(), braces(), {.is_open = true});
    CHECK(legal(mask) == "all");
    CHECK_FALSE(mask.may_stop());
    accept(mask, {"a", "{", "<", "<think>", "\n"});
    CHECK(legal(mask) == "all");
    accept(mask, closing);
    CHECK(legal(mask) == "\n \n\n {");
    accept(mask, {"\n\n"});
    CHECK(legal(mask) == "\n \n\n {");
    accept(mask, {"{"});
    CHECK(legal(mask) == "}");
    CHECK_FALSE(mask.may_stop());
    accept(mask, {"}"});
    CHECK(mask.may_stop());
    CHECK(mask.must_stop());
  }
}

TEST_CASE("reasoning: white space before an answer comes to an end") {
  ReasoningMask mask(format(), braces(), {.is_open = true});
  accept(mask, {"</think>", "\n", "\n"});
  CHECK(legal(mask) == "{");
}

TEST_CASE("reasoning: a token that reaches from the closing tag into the answer is not legal") {
  ReasoningMask mask(format(), braces(), {.is_open = true});
  accept(mask, {"b", "</", "think"});
  const std::string words = legal(mask);
  CHECK(words.find(">b") == std::string::npos);
  CHECK(words.find("> \n") != std::string::npos);
  accept(mask, {"a"});
  CHECK(legal(mask) == "all");
}

TEST_CASE("reasoning: nor is a token that has all of the tag in it") {
  ReasoningMask mask(format(true), braces(), {.is_open = true});
  std::vector<std::uint32_t> bits(1);
  CHECK_FALSE(mask.is_open());
  REQUIRE(mask.fill(bits));
  CHECK((bits[0] >> kWords.of("x</think>a") & 1U) == 0);
  CHECK((bits[0] >> kWords.of("</think>") & 1U) == 1);
}

TEST_CASE("reasoning: a model that does not reason answers from its first token") {
  ReasoningMask mask(format(), braces(), {});
  CHECK(legal(mask) == "<think> {");
  CHECK_FALSE(mask.may_stop());
  accept(mask, {"{"});
  CHECK(legal(mask) == "}");
}

TEST_CASE("reasoning: a model that reasons may do so before an answer") {
  ReasoningMask mask(format(), braces(), {});
  accept(mask, {"<think>"});
  accept(mask, {"{", "a"});
  accept(mask, {"</think>"});
  CHECK(legal(mask) == "\n \n\n {");
}

TEST_CASE("reasoning: what may be an answer as well as the tag is both until it is clear") {
  const auto answer = mask_of(tokens_of({"<", "think", ">", "a"}));
  ReasoningMask mask(format(), answer, {});
  accept(mask, {"<"});
  CHECK(legal(mask) == "think");
  accept(mask, {"think", ">"});
  CHECK(answer->accepted().empty());  // It was the tag.
  accept(mask, {"a", "</think>"});
  CHECK(legal(mask) == "< \n \n\n");
}

TEST_CASE("reasoning: an answer that only begins like the tag is an answer") {
  ReasoningMask mask(format(), mask_of(tokens_of({"<", "a", "b"})), {});
  accept(mask, {"<", "a"});
  CHECK(legal(mask) == "b");
}

TEST_CASE("reasoning: the budget closes it, token by token") {
  for (const bool has_answer : {true, false}) {
    ReasoningMask mask(format(), has_answer ? braces() : nullptr, {.is_open = true, .budget = 2});
    accept(mask, {"a", "b"});
    for (const char* word : {"\n", "</think>", "\n\n"}) {
      CHECK(legal(mask) == word);
      CHECK_FALSE(mask.may_stop());
      accept(mask, {word});
    }
    CHECK(legal(mask) == (has_answer ? "{" : "all"));
    CHECK(mask.may_stop() == !has_answer);
  }
}

TEST_CASE("reasoning: a budget of nothing closes it at once, when the model opens it too") {
  ReasoningMask opened(format(), nullptr, {.is_open = true, .budget = 0});
  CHECK(legal(opened) == "\n");
  ReasoningMask opens(format(), nullptr, {.is_open = false, .budget = 0});
  CHECK(legal(opens) == "all");
  accept(opens, {"<think>"});
  CHECK(legal(opens) == "\n");
}

TEST_CASE("reasoning: the budget waits for the end of a character") {
  ReasoningMask mask(format(), nullptr, {.is_open = true, .budget = 1});
  accept(mask, {"\xC3"});
  CHECK(legal(mask) == "all");
  accept(mask, {"\xA9"});
  CHECK(legal(mask) == "\n");
}

TEST_CASE("reasoning: a model that ends its reasoning in time is not disturbed") {
  ReasoningMask mask(format(), nullptr, {.is_open = true, .budget = 3});
  accept(mask, {"a", "</think>", "a", "b", "a", "b", "a"});
  CHECK(legal(mask) == "all");
  CHECK(mask.may_stop());
}

TEST_CASE("reasoning: without an answer's mask and a budget nothing is held to anything") {
  ReasoningMask mask(format(true), nullptr, {});
  for (const std::string_view word : {"<think>", "a", "x</think>a", "{", "<think>"}) {
    CHECK(legal(mask) == "all");
    CHECK(mask.may_stop());
    CHECK_FALSE(mask.must_stop());
    accept(mask, {word});
  }
}

TEST_CASE("reasoning: a tag of several tokens, and one that stands before a direct answer") {
  ReasoningFormat::Tags tags;
  tags.opening = {"<think>a", tokens_of({"<", "think", ">", "a"})};
  tags.direct = {"<think>b", tokens_of({"<", "think", ">b"})};
  tags.closing = {"</think>", tokens_of({"</think>"})};
  const auto shared = std::make_shared<ReasoningFormat>(std::move(tags), std::make_shared<Words>());
  ReasoningMask reasons(shared, braces(), {});
  CHECK(legal(reasons) == "<");
  accept(reasons, {"<", "think"});
  CHECK(legal(reasons) == "> >b");
  accept(reasons, {">", "a", "{", "</think>"});
  CHECK(legal(reasons) == "{");
  ReasoningMask answers(shared, braces(), {});
  accept(answers, {"<", "think", ">b"});
  CHECK(legal(answers) == "{");
}

TEST_CASE("reasoning: what the answer's mask breaks with is passed on") {
  using Breaks = ScriptedMask::Breaks;
  ReasoningMask mask(format(), mask_of(tokens_of({"{"}), Breaks::kAccept), {});
  CHECK_FALSE(mask.accept(kWords.of("{")));
  CHECK(mask.error() == "as the script says");
  const auto answer = braces();
  ReasoningMask first(format(), answer, {});
  CHECK_THROWS_AS(ReasoningMask(format(), answer, {}), ParameterError);
}

TEST_CASE("reasoning: whatever is taken back leaves a mask as it was before") {
  for_random_cases(300, [](Random& random) {
    const ReasoningMask::Options options{
        .is_open = random.chance(30),
        .budget = random.chance(50) ? std::optional<std::size_t>(random.below(4)) : std::nullopt};
    const Tokens text = random.chance(50) ? tokens_of({"<", "think", ">", "a", "a"})
                                          : tokens_of({"{", "}", "\n", "{", "}"});
    const bool has_answer = random.chance(70);
    const auto make = [&] {
      return std::make_unique<ReasoningMask>(
          format(), has_answer ? mask_of(text) : nullptr, options);
    };
    const auto mask = make();
    Tokens accepted;
    for (int step = 0; step < 25; ++step) {
      if (random.chance(30)) {
        const auto count =
            static_cast<std::size_t>(random.between(0, static_cast<int>(accepted.size())));
        REQUIRE(mask->take_back(count));
        accepted.resize(accepted.size() - count);
      }
      const auto fresh = make();
      for (const Token token : accepted) REQUIRE(fresh->accept(token));
      REQUIRE(legal(*mask) == legal(*fresh));
      REQUIRE(mask->may_stop() == fresh->may_stop());
      REQUIRE(mask->must_stop() == fresh->must_stop());
      std::vector<std::uint32_t> bits(1, ~std::uint32_t{0});
      if (!mask->is_open()) REQUIRE(mask->fill(bits));
      for (Token token = 0; token < kWords.vocab_size() - 1 && !mask->is_open(); ++token) {
        REQUIRE(mask->allows(token) == ((bits[0] >> token & 1U) != 0));
      }
      Tokens choices;
      for (Token token = 0; token < kWords.vocab_size() - 1; ++token) {
        if ((bits[0] >> token & 1U) != 0) choices.push_back(token);
      }
      if (choices.empty()) break;
      accepted.push_back(random.pick(choices));
      REQUIRE(mask->accept(accepted.back()));
    }
  });
}

}  // namespace
}  // namespace llmlocal::testing
