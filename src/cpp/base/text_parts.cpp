#include "base/text_parts.h"

#include <algorithm>
#include <cstddef>

namespace llmlocal {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

constexpr std::size_t kCodePoints = 0x110000;

std::size_t code_point(std::string_view character) {
  constexpr unsigned kBitsInFirst[] = {0x7F, 0x7F, 0x1F, 0x0F, 0x07};
  std::size_t code = static_cast<unsigned char>(character[0]) & kBitsInFirst[character.size()];
  for (const char byte : character.substr(1)) {
    code = (code << 6U) | (static_cast<unsigned char>(byte) & 0x3FU);
  }
  return code;
}

}  // namespace

std::string_view first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  std::size_t size = 1;
  if (first >= 0xF0) {
    size = 4;
  } else if (first >= 0xE0) {
    size = 3;
  } else if (first >= 0xC0) {
    size = 2;
  }
  return text.substr(0, size);
}

std::vector<std::string_view> in_digit_groups(std::string_view text) {
  constexpr std::size_t kDigitsAtOnce = 120;  // A multiple of three.
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    std::size_t end = i;
    while (end < text.size() && is_digit(text[end])) ++end;
    for (std::size_t cut = i + (end - i) % kDigitsAtOnce; cut < end; cut += kDigitsAtOnce) {
      if (cut > begin) parts.push_back(text.substr(begin, cut - begin));
      begin = cut;
    }
    i = end + 1;
  }
  if (begin < text.size()) parts.push_back(text.substr(begin));
  return parts;
}

KnownCharacters::KnownCharacters() : known_(kCodePoints, false) {}

void KnownCharacters::add(std::string_view token) {
  while (!token.empty()) {
    const std::string_view character = first_character(token);
    const std::size_t code = code_point(character);
    if (code < kCodePoints) known_[code] = true;
    token.remove_prefix(character.size());
  }
}

bool KnownCharacters::is_known(std::string_view character) const {
  const std::size_t code = code_point(character);
  return code >= kCodePoints || known_[code];
}

std::vector<std::string_view> KnownCharacters::in_parts(std::string_view text) const {
  constexpr int kUnknownAtOnce = 2'000;
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  int unknown = 0;  // In a row, up to here.
  for (std::size_t i = 0; i < text.size();) {
    const std::string_view character = first_character(text.substr(i));
    if (is_known(character)) {
      unknown = 0;
    } else if (++unknown > kUnknownAtOnce) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i;
      unknown = 1;
    }
    i += character.size();
  }
  if (begin < text.size()) parts.push_back(text.substr(begin));
  return parts;
}

}  // namespace llmlocal
