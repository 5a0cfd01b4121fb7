#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/utf8_assembler.h"
#include "property.h"
#include "slow_text.h"

namespace llmlocal::testing {
namespace {

// Characters of every length, broken ones, and any bytes at all.
std::string random_bytes(Random& random) {
  static const std::vector<std::string> kParts = {"a",
                                                  "\n",
                                                  "é",
                                                  "\u07FF",
                                                  "日",
                                                  "\uFFFD",
                                                  "😀",
                                                  "\U0010FFFF",
                                                  "\xC3",
                                                  "\xE6\x97",
                                                  "\xF0\x9F\x98",
                                                  "\xF4\x8F",
                                                  "\xED\xA0",
                                                  "\xF4\x90\x80",
                                                  "\xC0\xAF",
                                                  "\x80",
                                                  "\xFF",
                                                  "\xE0\x9F"};
  std::string bytes;
  for (int parts = random.below(8); parts > 0; --parts) {
    bytes += random.chance(70) ? random.pick(kParts)
                               : std::string(1, static_cast<char>(random.below(256)));
  }
  return bytes;
}

// As Python prints bytes.decode("utf-8", errors="replace").
const std::vector<std::pair<std::string, std::string>> kAsPythonDecodes = {
    {"plain", "plain"},
    {"\xC3\xA9", "é"},
    {"\xF0\x9F\x98\x80", "😀"},
    {"\xC3", "\uFFFD"},
    {"\xC3(", "\uFFFD("},
    {"\xE6\x97", "\uFFFD"},
    {"\xE6\x97z", "\uFFFDz"},
    {"\xF0\x9F\x98", "\uFFFD"},
    {"\xF0\x9F\x98\xF0\x9F\x98\x80", "\uFFFD😀"},
    {"\x80\x80", "\uFFFD\uFFFD"},
    {"\xC0\xAF", "\uFFFD\uFFFD"},
    {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
    {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
    {"\xF0\x80\x80"
     "A",
     "\uFFFD\uFFFD\uFFFDA"},
    {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
    {"\xF5\x80", "\uFFFD\uFFFD"},
    {std::string("\0\xFF", 2), std::string("\0\uFFFD", 4)},
};

TEST_CASE("utf8: ill-formed bytes become what Python's errors=replace makes of them") {
  for (const auto& [bytes, text] : kAsPythonDecodes) {
    CAPTURE(text);
    Utf8Assembler assembler;
    const std::string pushed = assembler.push(bytes);
    CHECK(pushed == slow_decode(bytes, true));
    CHECK(slow_decode(bytes) == text);
  }
}

TEST_CASE("utf8: characters from everywhere in Unicode pass through, byte by byte") {
  std::size_t changed = 0;
  for (std::uint32_t code_point = 0; code_point <= 0x10FFFF; code_point += 17) {
    if (code_point >= 0xD800 && code_point <= 0xDFFF) continue;
    const std::string character = utf8_of(code_point);
    Utf8Assembler assembler;
    std::string text;
    for (const char byte : character) text += assembler.push({&byte, 1});
    changed += text == character ? 0 : 1;
  }
  CHECK(changed == 0);
}

TEST_CASE(
    "utf8: the text is independent of the cuts, and nothing is held back for longer than needed") {
  for_random_cases(2000, [](Random& random) {
    const std::string bytes = random_bytes(random);
    Utf8Assembler assembler;
    std::string pushed;
    std::string text;
    bool in_time = true;
    for (const std::string& piece : random.cut(bytes)) {
      pushed += piece;
      text += assembler.push(piece);
      in_time = in_time && text == slow_decode(pushed, true);
    }
    CHECK(in_time);
  });
}

TEST_CASE("utf8: an open character is no text until it is whole, or can't be any more") {
  Utf8Assembler assembler;
  CHECK(assembler.push("\xF0\x9F\x98").empty());
  CHECK(assembler.push("\x80") == "😀");
  CHECK(assembler.push("\xF0\x9F\x98").empty());
  CHECK(assembler.push("a") == std::string(kReplacement) + "a");
}

}  // namespace
}  // namespace llmlocal::testing
