// Properties: a statement checked on many random cases, the same ones in every run.
//
//   for_random_cases(500, [](Random& random) { ... CHECK(...); });
//
// A failing check prints the seed of its case; Random(seed) makes that case again.  For a longer
// search, LLMLOCAL_CASES=50 in the environment makes fifty times as many.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace llmlocal::testing {

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}

  // 0 to n - 1.  Not std::uniform_int_distribution, whose numbers differ between libraries.
  int below(int n) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(n)); }
  // Both ends included.
  int between(int low, int high) { return low + below(high - low + 1); }
  bool chance(int percent) { return below(100) < percent; }

  template <typename Value>
  Value pick(std::initializer_list<Value> values) {
    return *(values.begin() + below(static_cast<int>(values.size())));
  }
  template <typename Values>
  auto pick(const Values& values) {
    return *(values.begin() + below(static_cast<int>(values.size())));
  }

  // The text in pieces of random length, some of them empty.
  std::vector<std::string> cut(std::string_view text) {
    std::vector<std::string> pieces;
    while (!text.empty()) {
      const auto length = std::min(static_cast<std::size_t>(below(5)), text.size());
      pieces.emplace_back(text.substr(0, length));
      text.remove_prefix(length);
    }
    return pieces;
  }

 private:
  std::mt19937_64 engine_;
};

inline int times_as_many_cases() {
  const char* factor = std::getenv("LLMLOCAL_CASES");
  return factor ? std::max(std::atoi(factor), 1) : 1;
}

template <typename Check>
void for_random_cases(int cases, Check&& check) {
  for (int seed = 1; seed <= cases * times_as_many_cases(); ++seed) {
    INFO("the case with seed ", seed);
    Random random(static_cast<std::uint64_t>(seed));
    check(random);
  }
}

}  // namespace llmlocal::testing
