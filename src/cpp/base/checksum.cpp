#include "base/checksum.h"

#include <bit>
#include <cstring>

namespace llmlocal {
namespace {

constexpr std::size_t kBlock = 32;

// One-to-one in either argument, so that a difference in a word stays one in the lane.
constexpr std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl((lane ^ word) * 0x9e3779b97f4a7c15, 29);
}

}  // namespace

void Checksum::add(std::span<const std::byte> bytes) {
  length_ += bytes.size();
  Words lanes = lanes_;  // A copy stays in registers: no byte that is read can be a part of it.
  const auto add_block = [&](const std::byte* block, std::size_t count) {
    Words words{};  // What is missing of the last block counts as zeros.
    std::memcpy(words.data(), block, count);
    for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = mix(lanes[i], words[i]);
  };
  // Of a length that is known, so that each is a few loads and no call.
  for (; bytes.size() >= kBlock; bytes = bytes.subspan(kBlock)) add_block(bytes.data(), kBlock);
  if (!bytes.empty()) add_block(bytes.data(), bytes.size());
  lanes_ = lanes;
}

std::uint64_t Checksum::value() const {
  std::uint64_t sum = length_;
  for (const std::uint64_t word : lanes_) {
    sum = mix(sum, word);
    sum ^= sum >> 32;
  }
  return sum;
}

std::uint64_t checksum(std::span<const std::byte> bytes) {
  Checksum sum;
  sum.add(bytes);
  return sum.value();
}

}  // namespace llmlocal
