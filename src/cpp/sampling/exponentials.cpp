#include "sampling/exponentials.h"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numbers>
#include <numeric>

namespace llmlocal {
namespace {

constexpr std::size_t kBlock = 256;
constexpr std::size_t kLanes = 8;

// exp(x) for x <= 0, to 2 units in the last place; below -87, and for what is no number, as of -87:
// 2e-38, which is nothing beside the 1 of the largest.  Has no branch and calls nothing, so that
// compilers make vector code of a loop over it.
inline float exp_of_negative(float x) {
  constexpr float kLog2E = std::numbers::log2e_v<float>;
  // NOLINTNEXTLINE(modernize-use-std-numbers): not ln 2, but a part of it
  constexpr float kLn2High = 0.693359375F;  // Together ln 2, the first part exact in few bits.
  constexpr float kLn2Low = -2.12194440e-4F;
  constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves no digits after the point.
  // By the bits, in which larger numbers are larger and what is no number is the largest: compilers
  // take a comparison of floats for a branch.
  constexpr auto kLargest = std::bit_cast<std::int32_t>(87.0F);
  const std::int32_t size =
      std::bit_cast<std::int32_t>(x) & std::numeric_limits<std::int32_t>::max();
  const float clamped = -std::bit_cast<float>(size < kLargest ? size : kLargest);
  const float shifted = clamped * kLog2E + kRound;
  const float whole = shifted - kRound;
  const float rest = clamped - whole * kLn2High - whole * kLn2Low;
  float power = 1.9875691500e-4F;
  power = power * rest + 1.3981999507e-3F;
  power = power * rest + 8.3334519073e-3F;
  power = power * rest + 4.1665795894e-2F;
  power = power * rest + 1.6666665459e-1F;
  power = power * rest + 5.0000001201e-1F;
  power = power * rest * rest + rest + 1.0F;
  // The exponent of 2^whole, in the place that it has in a float.
  const std::uint32_t exponent = (std::bit_cast<std::uint32_t>(shifted) + 127U) << 23U;
  return power * std::bit_cast<float>(exponent);
}

// In two loops, and not of a few values that would be written out one after the other: else
// compilers make no vector code of the first.
double sum_of_block(std::span<const float, kBlock> logits, float max) {
  std::array<float, kBlock> powers;
  for (std::size_t i = 0; i < kBlock; ++i) powers[i] = exp_of_negative(logits[i] - max);
  std::array<double, kLanes> sums{};
  for (std::size_t i = 0; i < kBlock; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += static_cast<double>(powers[i + lane]);
    }
  }
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace

double sum_of_exp(std::span<const float> logits, float max) {
  double sum = 0;
  std::size_t i = 0;
  for (; i + kBlock <= logits.size(); i += kBlock) {
    sum += sum_of_block(logits.subspan(i).first<kBlock>(), max);
  }
  for (; i < logits.size(); ++i) sum += static_cast<double>(exp_of_negative(logits[i] - max));
  return sum;
}

}  // namespace llmlocal
