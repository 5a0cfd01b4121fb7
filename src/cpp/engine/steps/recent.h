// The last few of a series of values; takes no memory of its own.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>

namespace llmlocal {

template <typename Value, std::size_t Most>
class Recent {
 public:
  void push(const Value& value) {
    values_[pushed_ % Most] = value;
    ++pushed_;
  }
  void clear() { pushed_ = 0; }
  std::size_t size() const { return std::min(pushed_, Most); }
  // In any order.
  std::span<const Value> values() const { return std::span(values_).first(size()); }
  // The upper one of two; there must be values.
  Value median() const {
    std::array<Value, Most> sorted = values_;
    const auto begin = sorted.begin();
    const auto middle = begin + static_cast<std::ptrdiff_t>(size() / 2);
    std::nth_element(begin, middle, begin + static_cast<std::ptrdiff_t>(size()));
    return *middle;
  }

 private:
  std::array<Value, Most> values_{};
  std::size_t pushed_ = 0;
};

}  // namespace llmlocal
