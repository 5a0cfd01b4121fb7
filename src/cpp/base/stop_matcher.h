// Finds stop strings in text that arrives piece by piece, and never lets a part of one out.
//
// The match that is complete first wins; of two that end at the same byte, the longer one.  So the
// result depends on the text alone, not on where its pieces were cut.  What is held back is the
// longest end of the text that could still grow into a stop string.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/stop_strings.h"

namespace llmlocal {

class StopMatcher {
 public:
  explicit StopMatcher(StopStrings stops) : stops_(std::move(stops)) {}

  struct Result {
    std::string text;                  // May go out: it holds no part of any stop string.
    std::optional<std::string> match;  // The stop string that was found; the text ends before it.
  };

  // After a match, the matcher must not be used again.
  Result push(std::string_view text);

  // Ends the text: returns what was held back.
  std::string flush();

 private:
  StopStrings stops_;
  StopStrings::State state_ = 0;
  std::string held_;
};

}  // namespace llmlocal
