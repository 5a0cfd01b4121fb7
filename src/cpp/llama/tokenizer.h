// Text to tokens and back, as the model's own vocabulary does it.
//
// Thread-safe: used in the callers' threads.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/text_parts.h"
#include "base/token.h"
#include "llama/model.h"
#include "sampling/token_texts.h"

namespace llmlocal {

// A piece of a text.  Control tokens are recognised in trusted pieces only.
struct TextSegment {
  std::string_view text;
  bool trusted = false;
};

class Tokenizer : public TokenTexts {
 public:
  // Throws ModelLoadError for a vocabulary that can't be used.
  explicit Tokenizer(std::shared_ptr<const Model> model);

  // `add_special`: add the beginning and end tokens that the model asks for.
  // `parse_special`: take the text of a control token, such as "<|im_end|>", for the token.
  Tokens encode(std::string_view text, bool add_special, bool parse_special) const;

  // The tokens of the segments' joined text; a segment's border is not a token's border.  No text
  // outside of trusted segments ever becomes a control token.
  Tokens encode(std::span<const TextSegment> segments, bool add_special) const;

  // The bytes that the tokens stand for, without the space that some vocabularies put before every
  // text; `special`: with the text of control tokens.
  std::string decode(std::span<const Token> tokens, bool special) const;

  // The bytes of one token in running text; control tokens have none.
  const std::string& piece(Token token) const { return pieces_[static_cast<std::size_t>(token)]; }
  bool is_end(Token token) const { return ends_[static_cast<std::size_t>(token)]; }

  std::string_view text(Token token) const noexcept override;

  std::int32_t vocab_size() const override { return static_cast<std::int32_t>(pieces_.size()); }
  Token bos() const;  // -1 where the model has none; likewise below.
  Token eos() const;
  struct FillInTokens {
    Token before = -1;  // Stands before the text.
    Token after = -1;   // Before what follows it.
    Token middle = -1;  // Before what goes between.
  };
  FillInTokens fill_in_tokens() const;
  std::string token_text(Token token) const;  // As the vocabulary spells it.
  bool adds_bos() const;
  bool adds_eos() const;
  bool adds_sep() const;  // Whether a pair of texts has it beside the end token of the first.

 private:
  struct ControlToken {
    Token token = 0;
    std::string text;
    bool strips_left = false;  // Swallows the white space before it; likewise after it.
    bool strips_right = false;
  };

  const ControlToken* control_token_at(std::string_view text) const;
  void read_vocabulary();
  void read_characters();
  Tokens encode_plain(std::string_view text, bool add_special, bool parse_special) const;
  Tokens encode_once(std::string_view text, bool add_special, bool parse_special) const;
  Tokens encode_as_text(std::string_view text) const;  // Gives no control token.
  bool puts_space_first() const;
  std::size_t space_before_unknown(std::string_view text) const;

  std::shared_ptr<const Model> model_;
  std::vector<std::string> pieces_;
  std::vector<bool> ends_;
  std::vector<bool> is_control_;
  bool adds_space_ = false;
  bool groups_digits_ = false;
  std::optional<KnownCharacters> known_;  // Where runs of others take long.
  // By the first byte of their text, the longest first.
  std::array<std::vector<ControlToken>, 256> control_tokens_;
  std::unordered_map<Token, std::string> control_texts_;
};

}  // namespace llmlocal
