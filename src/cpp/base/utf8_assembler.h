// Turns the byte pieces of tokens into text that is always whole, valid UTF-8.
//
// A token may end in the middle of a character.  push() keeps such a beginning back until the rest
// arrives; bytes that can never become a character turn into U+FFFD, one for each maximal
// ill-formed part, which is what Python's errors="replace" does.  What is still open when a text
// ends is no part of it.
#pragma once

#include <string>
#include <string_view>

namespace llmlocal {

class Utf8Assembler {
 public:
  // Returns the text that these bytes complete; empty while a character is still open.
  std::string push(std::string_view bytes);

 private:
  std::string open_;  // The bytes of the last character, while it is not
                      // complete: at most 3.
};

}  // namespace llmlocal
