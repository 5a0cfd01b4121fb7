// Finds stop strings in text that arrives piece by piece, and never lets a part of one out.
//
// The match that is complete first wins; of two that end at the same byte, the longer one.  So the
// result depends on the text alone, not on where its pieces were cut.  One Knuth-Morris-Pratt
// automaton per stop string: O(bytes x stops), and what is held back is the longest suffix that
// could still grow into a stop string.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmlocal {

class StopMatcher {
 public:
  // `stops` must not hold an empty string.
  explicit StopMatcher(const std::vector<std::string>& stops);

  struct Result {
    std::string text;                  // May go out: it holds no part of any stop string.
    std::optional<std::string> match;  // The stop string that was found; the text ends before it.
  };

  // After a match, the matcher must not be used again.
  Result push(std::string_view text);

  // Ends the text: returns what was held back.
  std::string flush();

 private:
  struct Pattern {
    std::string text;
    std::vector<std::size_t> border;  // border[i]: the longest proper border of text[0..i].
    std::size_t matched = 0;          // How much of `text` the input ends with.
  };
  static void advance(Pattern& pattern, char byte);

  std::vector<Pattern> patterns_;
  std::string held_;
};

}  // namespace llmlocal
