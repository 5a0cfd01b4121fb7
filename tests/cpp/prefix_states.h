// States of a prefix that are made of nothing but its tokens, and what tests ask of their files.
#pragma once

#include <doctest/doctest.h>

#include <cstddef>
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>

#include "engine/streams/prefix_files.h"

namespace llmlocal::testing {

constexpr std::size_t kBytesPerToken = 40;

inline Tokens counting(Token first, std::size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

// Made of nothing but its tokens, so that a wrong one shows.
inline StateBlob state_of(const Tokens& tokens, Position floor = 0) {
  StateBlob blob;
  blob.size = tokens.size() * kBytesPerToken;
  auto bytes = std::make_unique<std::byte[]>(blob.size);
  for (std::size_t i = 0; i < blob.size; ++i) {
    bytes[i] = static_cast<std::byte>(tokens[i / kBytesPerToken] * 31 + static_cast<Token>(i));
  }
  blob.data = std::move(bytes);
  blob.length = static_cast<Position>(tokens.size());
  blob.floor = floor;
  return blob;
}

inline bool is_state_of(const StateBlob& blob, const Tokens& tokens) {
  const StateBlob expected = state_of(tokens);
  return blob.size == expected.size && blob.length == expected.length &&
         std::memcmp(blob.data.get(), expected.data.get(), blob.size) == 0;
}

// What is found for the prompt is what was written for its tokens, or nothing.
inline Position adopted(PrefixFiles& files, const Tokens& prompt, const Tokens& written) {
  files.refresh();
  const PrefixFiles::Match match = files.find(prompt, static_cast<Position>(prompt.size()));
  if (match.length == 0) return 0;
  const auto blob = files.load(match, prompt);
  if (!blob) return 0;
  CHECK(is_state_of(*blob, written));
  return match.length;
}

}  // namespace llmlocal::testing
