// The strings that end a text, prepared for finding all of them at once.
//
// An Aho-Corasick automaton: what it takes to make one grows with the bytes of the strings, and
// what a byte of text takes does not grow with their number.  Constant, and cheap to copy: the
// requests of one call share it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace llmlocal {

class StopStrings {
 public:
  static constexpr std::size_t kMostBytes = std::size_t{16} << 20U;

  StopStrings() = default;
  // Empty strings never match.  Throws ParameterError for more than kMostBytes together.
  StopStrings(std::vector<std::string> strings);  // NOLINT(misc-explicit-constructor)
  StopStrings(std::initializer_list<std::string> strings)
      : StopStrings(std::vector<std::string>(strings)) {}

  // As they were given.
  const std::vector<std::string>& strings() const;
  bool is_empty() const { return !automaton_; }

  // How far a text has come, by its end alone; 0 before the first byte.
  using State = std::uint32_t;
  State next(State state, char byte) const;
  // How many bytes at the end of the text could still grow into a string: the most that could.
  std::size_t begun(State state) const;
  // How long the longest string is that the text ends with; 0: it ends with none.
  std::size_t matched(State state) const;

 private:
  struct Automaton;
  std::shared_ptr<const Automaton> automaton_;
};

}  // namespace llmlocal
