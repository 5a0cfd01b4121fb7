#include "base/utf8_assembler.h"

#include <cstddef>
#include <utility>

namespace llmlocal {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The range that the second byte must lie in, and the length, by the first byte; Unicode 15, table
// 3-7.  Length 0: no character starts with this byte.
struct Lead {
  std::size_t length = 0;
  unsigned char second_min = 0x80;
  unsigned char second_max = 0xBF;
};

Lead lead_of(unsigned char byte) {
  if (byte <= 0x7F) return {1};
  if (byte >= 0xC2 && byte <= 0xDF) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

// How many bytes at the front of `bytes` belong together, and whether they make a character, may
// still become one, or never will.
enum class Kind { kComplete, kOpen, kInvalid };
std::pair<std::size_t, Kind> next_part(std::string_view bytes) {
  const Lead lead = lead_of(static_cast<unsigned char>(bytes[0]));
  if (lead.length == 0) return {1, Kind::kInvalid};
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {i, Kind::kOpen};
    const auto byte = static_cast<unsigned char>(bytes[i]);
    const unsigned char min = i == 1 ? lead.second_min : 0x80;
    const unsigned char max = i == 1 ? lead.second_max : 0xBF;
    if (byte < min || byte > max) return {i, Kind::kInvalid};
  }
  return {lead.length, Kind::kComplete};
}

}  // namespace

std::string Utf8Assembler::push(std::string_view bytes) {
  const std::string all = std::exchange(open_, {}).append(bytes);
  std::string text;
  text.reserve(all.size());
  std::string_view rest = all;
  while (!rest.empty()) {
    const auto [length, kind] = next_part(rest);
    if (kind == Kind::kOpen) {
      open_ = rest;
      break;
    }
    text += kind == Kind::kComplete ? rest.substr(0, length) : kReplacement;
    rest.remove_prefix(length);
  }
  return text;
}

}  // namespace llmlocal
