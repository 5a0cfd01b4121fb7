#include "llama/tokenizer.h"

#include <llama.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "base/big_stack.h"
#include "base/errors.h"
#include "llama/guard.h"

namespace llmlocal {
namespace {

// llama.cpp splits text with std::regex for some vocabularies, which recurses once per character
// of a run: up to about 512 bytes of stack each.  Longer texts than this get a stack to match.
constexpr std::size_t kSafeBytes = 4096;
constexpr std::size_t kStackPerByte = 640;
constexpr std::size_t kBaseStack = std::size_t{1024} * 1024;

constexpr std::size_t kMaxText = INT_MAX / 2;

struct JoinedSegment {
  std::string text;
  bool trusted = false;
};

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

// A byte of a UTF-8 character that is not its first one.
bool is_inside_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

// Neighbours that are trusted alike, as one: a control token may lie across their border.
std::vector<JoinedSegment> join(std::span<const TextSegment> segments) {
  std::vector<JoinedSegment> joined;
  for (const TextSegment& segment : segments) {
    if (joined.empty() || joined.back().trusted != segment.trusted) {
      joined.push_back({{}, segment.trusted});
    }
    joined.back().text += segment.text;
  }
  return joined;
}

std::string piece_of(const llama_vocab* vocab, Token token, bool special) {
  std::string piece(64, '\0');
  const auto length = [&] {
    return llama_token_to_piece(
        vocab, token, piece.data(), static_cast<std::int32_t>(piece.size()), 0, special);
  };
  std::int32_t size = length();
  if (size < 0) {
    piece.resize(static_cast<std::size_t>(-size));
    size = length();
  }
  piece.resize(static_cast<std::size_t>(std::max(size, 0)));
  return piece;
}

// llama.cpp's own loop over a vocabulary of bytes never ends where a text begins like a token and
// goes on like none, unless single bytes are tokens.
void require_single_bytes(const std::vector<std::string>& pieces) {
  std::array<bool, 256> is_token{};
  for (const std::string& piece : pieces) {
    if (piece.size() == 1) is_token[static_cast<unsigned char>(piece[0])] = true;
  }
  const auto* const missing = std::ranges::find(is_token, false);
  if (missing == is_token.end()) return;
  std::array<char, 8> byte{};
  std::snprintf(byte.data(), byte.size(), "0x%02x", static_cast<int>(missing - is_token.begin()));
  throw ModelLoadError(std::string("the model's vocabulary has no token for the byte ") +
                       byte.data() + ", so that not every text could be read: the file is damaged");
}

Token in_vocabulary(Token token, std::int32_t size) {
  return token >= 0 && token < size ? token : -1;
}

Tokens tokenize(const llama_vocab* vocab,
                std::string_view text,
                bool add_special,
                bool parse_special) {
  Tokens tokens(text.size() / 2 + 8);
  const auto run = [&] {
    return llama_tokenize(vocab,
                          text.data(),
                          static_cast<std::int32_t>(text.size()),
                          tokens.data(),
                          static_cast<std::int32_t>(tokens.size()),
                          add_special,
                          parse_special);
  };
  std::int32_t count = run();
  if (count == INT32_MIN) throw ParameterError("the text has too many tokens to count");
  if (count < 0) {
    tokens.resize(static_cast<std::size_t>(-count));
    count = run();
  }
  tokens.resize(static_cast<std::size_t>(std::max(count, 0)));
  return tokens;
}

}  // namespace

Tokenizer::Tokenizer(std::shared_ptr<const Model> model) : model_(std::move(model)) {
  if (llama_vocab_type(model_->vocab()) == LLAMA_VOCAB_TYPE_NONE) {
    throw ModelLoadError(model_->path() + " has no vocabulary, so no text can be given to it");
  }
  guarded("reading the vocabulary", [this] { read_vocabulary(); });
  if (llama_vocab_type(model_->vocab()) == LLAMA_VOCAB_TYPE_RWKV) require_single_bytes(pieces_);
  const auto pre = model_->metadata().find("tokenizer.ggml.pre");
  groups_digits_ = pre != model_->metadata().end() && pre->second == "superbpe";
  adds_space_ = puts_space_first();
  if (llama_vocab_type(model_->vocab()) == LLAMA_VOCAB_TYPE_SPM) read_characters();
}

void Tokenizer::read_vocabulary() {
  const llama_vocab* vocab = model_->vocab();
  const std::int32_t size = llama_vocab_n_tokens(vocab);
  pieces_.reserve(static_cast<std::size_t>(size));
  ends_.reserve(static_cast<std::size_t>(size));
  for (Token token = 0; token < size; ++token) {
    pieces_.push_back(piece_of(vocab, token, false));
    ends_.push_back(llama_vocab_is_eog(vocab, token));
    const int attributes = llama_vocab_get_attr(vocab, token);
    const std::string text = llama_vocab_get_text(vocab, token);
    is_control_.push_back((attributes & LLAMA_TOKEN_ATTR_CONTROL) != 0);
    if ((attributes & (LLAMA_TOKEN_ATTR_CONTROL | LLAMA_TOKEN_ATTR_UNKNOWN)) == 0) continue;
    if (text.empty()) continue;
    control_texts_.emplace(token, text);
    control_tokens_[static_cast<unsigned char>(text[0])].push_back(
        {token,
         text,
         (attributes & LLAMA_TOKEN_ATTR_LSTRIP) != 0,
         (attributes & LLAMA_TOKEN_ATTR_RSTRIP) != 0});
  }
  for (std::vector<ControlToken>& bucket : control_tokens_) {
    std::ranges::stable_sort(bucket, std::ranges::greater(), [](const ControlToken& control) {
      return control.text.size();
    });
  }
}

void Tokenizer::read_characters() {
  const llama_vocab* vocab = model_->vocab();
  known_.emplace();
  known_->add(" ");  // The vocabulary spells it in another way.
  const auto count = static_cast<Token>(pieces_.size());
  for (Token token = 0; token < count; ++token) {
    known_->add(llama_vocab_get_text(vocab, token));
    constexpr int kStrips = LLAMA_TOKEN_ATTR_LSTRIP | LLAMA_TOKEN_ATTR_RSTRIP;
    const bool swallows_space = (llama_vocab_get_attr(vocab, token) & kStrips) != 0;
    if (swallows_space) known_->add("\t\n\v\f\r");
  }
}

std::string_view Tokenizer::text(Token token) const noexcept {
  const auto control = control_texts_.find(token);
  return control == control_texts_.end() ? piece(token) : control->second;
}

bool Tokenizer::puts_space_first() const {
  try {
    const Tokens tokens = encode_plain("a", false, false);
    return !tokens.empty() && piece(tokens.front()).starts_with(' ');
  } catch (const Error&) {
    return false;  // A vocabulary that does not know the letter.
  }
}

Tokens Tokenizer::encode(std::string_view text, bool add_special, bool parse_special) const {
  if (text.size() > kMaxText) {
    throw ParameterError("the text has " + std::to_string(text.size()) + " bytes; at most " +
                         std::to_string(kMaxText) + " can be tokenized");
  }
  if (text.size() <= kSafeBytes) return encode_plain(text, add_special, parse_special);
  Tokens tokens;
  run_on_big_stack(kBaseStack + kStackPerByte * text.size(),
                   [&] { tokens = encode_plain(text, add_special, parse_special); });
  return tokens;
}

Tokens Tokenizer::encode_plain(std::string_view text, bool add_special, bool parse_special) const {
  if (add_special || !(groups_digits_ || known_)) {
    return encode_once(text, add_special, parse_special);
  }
  const auto parts = groups_digits_ ? in_digit_groups(text) : known_->in_parts(text);
  Tokens tokens;
  for (const std::string_view part : parts) {
    const Tokens more = encode_once(part, false, parse_special);
    const bool is_first = part.data() == text.data();
    const std::size_t skipped = groups_digits_ || is_first ? 0 : space_before_unknown(part);
    tokens.insert(tokens.end(), more.begin() + static_cast<std::ptrdiff_t>(skipped), more.end());
  }
  return tokens;
}

// Tokens of the space that the vocabulary puts before this text, which begins with a character that
// is spelt in bytes.
std::size_t Tokenizer::space_before_unknown(std::string_view text) const {
  const std::string_view character = first_character(text);
  return encode_once(character, false, false).size() - character.size();
}

Tokens Tokenizer::encode_once(std::string_view text, bool add_special, bool parse_special) const {
  const auto unknown = [] {
    return ParameterError("the model's vocabulary has no tokens for some of the text");
  };
  Tokens tokens = guarded("tokenizing", [&] {
    try {
      return tokenize(model_->vocab(), text, add_special, parse_special);
    } catch (const std::out_of_range&) {
      throw unknown();
    }
  });
  for (const Token token : tokens) {
    if (in_vocabulary(token, vocab_size()) < 0) throw unknown();
  }
  return tokens;
}

Tokens Tokenizer::encode_as_text(std::string_view text) const {
  Tokens tokens = encode(text, false, false);
  const auto is_control = [this](Token token) {
    return is_control_[static_cast<std::size_t>(token)];
  };
  if (std::ranges::none_of(tokens, is_control)) return tokens;
  // In some vocabularies ordinary tokens can grow together to what spells a control token: not
  // across a cut through the spelling.
  tokens.clear();
  std::size_t begin = 0;
  const auto flush_until = [&](std::size_t end) {
    const Tokens more = encode(text.substr(begin, end - begin), false, false);
    tokens.insert(tokens.end(), more.begin(), more.end());
    begin = end;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!control_token_at(text.substr(i))) continue;
    std::size_t cut = i + 1;
    while (cut < text.size() && is_inside_character(text[cut])) ++cut;
    flush_until(cut);
  }
  flush_until(text.size());
  return tokens;
}

const Tokenizer::ControlToken* Tokenizer::control_token_at(std::string_view text) const {
  for (const ControlToken& control : control_tokens_[static_cast<unsigned char>(text[0])]) {
    if (text.starts_with(control.text)) return &control;
  }
  return nullptr;
}

Tokens Tokenizer::encode(std::span<const TextSegment> segments, bool add_special) const {
  // What stands between two control tokens is tokenized as one text, whatever segments it came
  // from, so that the borders of segments leave no trace.
  Tokens tokens;
  std::string between;
  bool skip_space = false;
  const auto flush = [&] {
    if (between.empty()) return;
    const Tokens more = encode_as_text(between);
    tokens.insert(tokens.end(), more.begin(), more.end());
    between.clear();
  };
  for (const JoinedSegment& segment : join(segments)) {
    std::string_view rest = segment.text;
    while (!rest.empty()) {
      if (skip_space && is_space(rest[0])) {
        rest.remove_prefix(1);
        continue;
      }
      skip_space = false;
      const ControlToken* control = segment.trusted ? control_token_at(rest) : nullptr;
      if (!control) {
        between += rest[0];
        rest.remove_prefix(1);
        continue;
      }
      while (control->strips_left && !between.empty() && is_space(between.back())) {
        between.pop_back();
      }
      flush();
      tokens.push_back(control->token);
      skip_space = control->strips_right;
      rest.remove_prefix(control->text.size());
    }
  }
  flush();
  if (!add_special) return tokens;
  const Token first = adds_bos() ? bos() : -1;
  if (first >= 0 && (tokens.empty() || tokens.front() != first)) {
    tokens.insert(tokens.begin(), first);
  }
  const Token last = adds_eos() ? eos() : -1;
  if (last >= 0 && (tokens.empty() || tokens.back() != last)) tokens.push_back(last);
  return tokens;
}

std::string Tokenizer::decode(std::span<const Token> tokens, bool special) const {
  std::string text;
  bool at_start = true;  // Nothing but control tokens so far.
  for (const Token token : tokens) {
    if (token < 0 || token >= vocab_size()) {
      throw ParameterError("there is no token " + std::to_string(token) +
                           "; the vocabulary has 0 to " + std::to_string(vocab_size() - 1));
    }
    const bool is_control = is_control_[static_cast<std::size_t>(token)];
    if (is_control && !special) continue;
    std::string_view bytes = piece(token);
    const std::string spelt = is_control ? piece_of(model_->vocab(), token, true) : std::string();
    if (is_control) bytes = spelt;
    // Not llama_detokenize(): that also "cleans up" spaces before punctuation.
    if (at_start && !is_control && adds_space_ && bytes.starts_with(' ')) bytes.remove_prefix(1);
    at_start = at_start && is_control;
    text += bytes;
  }
  return text;
}

Token Tokenizer::bos() const {
  return in_vocabulary(llama_vocab_bos(model_->vocab()), vocab_size());
}
Token Tokenizer::eos() const {
  return in_vocabulary(llama_vocab_eos(model_->vocab()), vocab_size());
}

Tokenizer::FillInTokens Tokenizer::fill_in_tokens() const {
  const llama_vocab* vocab = model_->vocab();
  return {llama_vocab_fim_pre(vocab), llama_vocab_fim_suf(vocab), llama_vocab_fim_mid(vocab)};
}
bool Tokenizer::adds_bos() const {
  return llama_vocab_get_add_bos(model_->vocab());
}
bool Tokenizer::adds_eos() const {
  return llama_vocab_get_add_eos(model_->vocab());
}
bool Tokenizer::adds_sep() const {
  return llama_vocab_get_add_sep(model_->vocab());
}

std::string Tokenizer::token_text(Token token) const {
  if (token < 0 || token >= vocab_size()) return {};
  return llama_vocab_get_text(model_->vocab(), token);
}

}  // namespace llmlocal
