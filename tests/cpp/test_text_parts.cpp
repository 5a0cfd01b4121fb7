#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/text_parts.h"

namespace llmlocal::testing {
namespace {

std::string joined(const std::vector<std::string_view>& parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

std::string repeated(std::string_view text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

TEST_CASE("digits are cut into whole groups of three, counted from the end of their run") {
  for (const int digits : {1, 2, 119, 120, 121, 240, 365}) {
    const std::string text = "a" + repeated("7", digits) + " b";
    const auto parts = in_digit_groups(text);
    CHECK(joined(parts) == text);
    std::size_t end = text.size() - 2;  // Of the run.
    for (std::size_t i = parts.size(); i-- > 1;) {
      const auto begin = static_cast<std::size_t>(parts[i].data() - text.data());
      CHECK((end - begin) % 3 == 0);
    }
    CHECK(parts.size() >= static_cast<std::size_t>(1 + digits / 120));
  }
}

TEST_CASE("a run of unknown characters is cut between two of them") {
  KnownCharacters known;
  known.add("abc");
  known.add("\u00e9");
  for (const std::string_view unknown : {"\n", "\u00fc", "\u4e16", "\U0001F44B"}) {
    const std::string run = repeated(unknown, 4'500);
    const std::string text = "abc" + run + "\u00e9" + run;
    const auto parts = known.in_parts(text);
    CHECK(joined(parts) == text);
    CHECK(parts.size() == 5);
    for (std::size_t i = 1; i < parts.size(); ++i) {
      CHECK(parts[i].starts_with(unknown));
      CHECK(parts[i - 1].ends_with(unknown));
    }
  }
}

TEST_CASE("known characters are never cut apart, nor is a text that ends in half a character") {
  KnownCharacters known;
  known.add("\u00e9x");
  const std::string text = repeated("\u00e9", 9'000) + repeated("\nx", 9'000) + "\xF0\x9F";
  CHECK(known.in_parts(text) == std::vector<std::string_view>{text});
  CHECK(known.in_parts("").empty());
}

}  // namespace
}  // namespace llmlocal::testing
