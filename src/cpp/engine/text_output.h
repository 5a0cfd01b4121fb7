// Turns the tokens of one request into the events that its consumer sees.
//
// Owns the two things that stand between a token and its text: characters that several tokens make
// up together, and stop strings that must not show.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/stop_matcher.h"
#include "base/utf8_assembler.h"

namespace llmlocal {

class TextOutput {
 public:
  explicit TextOutput(StopStrings stops) : stops_(std::move(stops)) {}

  // Returns the text that `piece` releases, and the stop string that it completes, if any.
  StopMatcher::Result push(std::string_view piece) { return stops_.push(utf8_.push(piece)); }

  // Ends the text: what was held back as the possible start of a stop string was text after all.
  // The bytes of an unfinished character are not; they are in the tokens.
  std::string flush() { return stops_.flush(); }

 private:
  Utf8Assembler utf8_;
  StopMatcher stops_;
};

}  // namespace llmlocal
