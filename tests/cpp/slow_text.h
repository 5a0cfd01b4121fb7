// What the text of a generation must be, computed the slow and obvious way.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmlocal::testing {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

inline std::string utf8_of(std::uint32_t code_point) {
  const auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  const auto tail = [&](unsigned shift) { return byte(0x80U | ((code_point >> shift) & 0x3FU)); };
  if (code_point < 0x80) return {byte(code_point)};
  if (code_point < 0x800) return {byte(0xC0U | (code_point >> 6U)), tail(0)};
  if (code_point < 0x10000) return {byte(0xE0U | (code_point >> 12U)), tail(6), tail(0)};
  return {byte(0xF0U | (code_point >> 18U)), tail(12), tail(6), tail(0)};
}

// Whether the bytes are the encoding of one Unicode scalar value: decode them by their payload
// bits, encode the result again, compare.
inline bool is_character(std::string_view bytes) {
  if (bytes.empty() || bytes.size() > 4) return false;
  constexpr std::array<std::uint32_t, 5> kLeadBits = {0, 0x7F, 0x1F, 0x0F, 0x07};
  auto code_point = static_cast<unsigned char>(bytes[0]) & kLeadBits[bytes.size()];
  for (const char byte : bytes.substr(1)) {
    code_point = code_point << 6U | (static_cast<unsigned char>(byte) & 0x3FU);
  }
  const bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
  return code_point <= 0x10FFFF && !is_surrogate && utf8_of(code_point) == bytes;
}

// Whether more bytes could make a character of these.  The bytes tried are the borders of every
// range that a second byte may be limited to.
inline bool may_become_character(const std::string& bytes) {
  thread_local std::map<std::string, bool> known;
  if (bytes.size() >= 4) return false;
  if (const auto found = known.find(bytes); found != known.end()) return found->second;
  bool may = false;
  for (const char next : {'\x80', '\x8F', '\x90', '\x9F', '\xA0', '\xBF'}) {
    may = may || is_character(bytes + next) || may_become_character(bytes + next);
  }
  known[bytes] = may;
  return may;
}

// bytes.decode("utf-8", errors="replace") in Python.  With `more_to_come`, a character that is
// still open at the end is left out.
inline std::string slow_decode(std::string_view bytes, bool more_to_come = false) {
  std::string text;
  while (!bytes.empty()) {
    std::size_t length = 1;
    while (length <= 4 && !is_character(bytes.substr(0, length))) ++length;
    if (length <= 4) {
      text += bytes.substr(0, length);
      bytes.remove_prefix(length);
      continue;
    }
    // The longest beginning of a character, at least one byte, becomes one replacement.
    length = 1;
    for (std::size_t longer = 2; longer <= bytes.size() && longer < 4; ++longer) {
      if (may_become_character(std::string(bytes.substr(0, longer)))) length = longer;
    }
    const bool open = may_become_character(std::string(bytes.substr(0, length)));
    if (more_to_come && open && length == bytes.size()) return text;
    text += kReplacement;
    bytes.remove_prefix(length);
  }
  return text;
}

struct SlowStop {
  std::string text;  // Before the stop string, or all of it.
  std::optional<std::string>
      match;  // The stop string that is complete first, the longest of these.
};

inline SlowStop slow_stop(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t end = 1; end <= text.size(); ++end) {
    const std::string seen = text.substr(0, end);
    std::optional<std::string> match;
    for (const std::string& stop : stops) {
      if (seen.ends_with(stop) && (!match || stop.size() > match->size())) match = stop;
    }
    if (match) return {seen.substr(0, end - match->size()), match};
  }
  return {text, std::nullopt};
}

// The longest end of the text that a stop string may begin with.
inline std::size_t slow_held_back(const std::string& text, const std::vector<std::string>& stops) {
  for (std::size_t begin = 0; begin < text.size(); ++begin) {
    for (const std::string& stop : stops) {
      if (stop.starts_with(text.substr(begin))) return text.size() - begin;
    }
  }
  return 0;
}

}  // namespace llmlocal::testing
