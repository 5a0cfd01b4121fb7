// The last few of a series of values; takes no memory of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace llmlocal {

template <typename T, std::size_t kMost>
class Recent {
 public:
  void push(const T& value) {
    values_[pushed_ % kMost] = value;
    ++pushed_;
  }
  void clear() { pushed_ = 0; }
  std::size_t size() const { return std::min(pushed_, kMost); }
  std::span<const T> values() const { return std::span(values_).first(size()); }  // In any order.

  // The upper one of two; there must be values.
  T median() const {
    std::array<T, kMost> sorted = values_;
    const auto begin = sorted.begin();
    const auto middle = begin + static_cast<std::ptrdiff_t>(size() / 2);
    std::nth_element(begin, middle, begin + static_cast<std::ptrdiff_t>(size()));
    return *middle;
  }

 private:
  std::array<T, kMost> values_{};
  std::size_t pushed_ = 0;
};

}  // namespace llmlocal
