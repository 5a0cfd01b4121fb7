#include "base/checksum.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <system_error>
#include <thread>
#include <vector>

namespace llmlocal {
namespace {

// So many that a core has always one to go on with.
using Words = std::array<std::uint64_t, 8>;
constexpr std::size_t kBlock = sizeof(Words);
constexpr std::size_t kPiece = 1 << 20;
constexpr std::size_t kWorthAThread = 8;  // Pieces: to start one takes as long as two of them.

// One-to-one in either argument, so that a difference in a word stays one in the lane.
constexpr std::uint64_t mix(std::uint64_t lane, std::uint64_t word) {
  return std::rotl((lane ^ word) * 0x9e3779b97f4a7c15, 29);
}

}  // namespace

std::uint64_t checksum(std::span<const std::byte> bytes) {
  std::uint64_t sum = bytes.size();
  Words lanes{0x243f6a8885a308d3,
              0x13198a2e03707344,
              0xa4093822299f31d0,
              0x082efa98ec4e6c89,
              0x452821e638d01377,
              0xbe5466cf34e90c6c,
              0xc0ac29b7c97c50dd,
              0x3f84d5b5b5470917};
  const auto add_block = [&](const std::byte* block, std::size_t count) {
    Words words{};  // What is missing of the last block counts as zeros.
    std::memcpy(words.data(), block, count);
    for (std::size_t i = 0; i < lanes.size(); ++i) lanes[i] = mix(lanes[i], words[i]);
  };
  // Of a length that is known, so that each is a few loads and no call.
  for (; bytes.size() >= kBlock; bytes = bytes.subspan(kBlock)) add_block(bytes.data(), kBlock);
  if (!bytes.empty()) add_block(bytes.data(), bytes.size());
  for (const std::uint64_t word : lanes) {
    sum = mix(sum, word);
    sum ^= sum >> 32;
  }
  return sum;
}

std::uint64_t checksum_of_pieces(std::span<const std::byte> bytes, Helper helper) {
  std::vector<std::uint64_t> sums((bytes.size() + kPiece - 1) / kPiece);
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < sums.size(); i = next++) {
      const std::size_t first = i * kPiece;
      sums[i] = checksum(bytes.subspan(first, std::min(kPiece, bytes.size() - first)));
    }
  };
  std::thread thread;
  if (helper == Helper::kThread && sums.size() >= kWorthAThread) {
    try {
      thread = std::thread(work);
    } catch (const std::system_error&) {  // NOLINT(bugprone-empty-catch): it is done without
    }
  }
  work();
  if (thread.joinable()) thread.join();
  return checksum(std::as_bytes(std::span(sums)));
}

}  // namespace llmlocal
