// Cuts a long text where a tokenizer gives its parts the tokens that it gives the whole, where it
// would take a time that grows with the square of a run's length.
#pragma once

#include <string_view>
#include <vector>

namespace llmlocal {

// For tokenizers that group digits by three from the right end of their run, and for each look
// through all of the run that is left.
std::vector<std::string_view> in_digit_groups(std::string_view text);

// The characters that occur in the tokens of a vocabulary.
class KnownCharacters {
 public:
  KnownCharacters();
  void add(std::string_view token);

  // For tokenizers that copy all they have so far for each character that is in no token.  Such a
  // character does not grow together with its neighbours, so cuts are between two of them.
  std::vector<std::string_view> in_parts(std::string_view text) const;

 private:
  bool is_known(std::string_view character) const;

  std::vector<bool> known_;  // By the code point.
};

// The first character of a text that is not empty, as long as its first byte says.
std::string_view first_character(std::string_view text);

}  // namespace llmlocal
