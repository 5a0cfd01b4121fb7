// A TokenMask that follows a script, strict about its contract.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/token.h"
#include "sampling/token_mask.h"

namespace llmlocal::testing {

// What a mask allows after the tokens accepted so far.
struct Legal {
  Tokens tokens;  // Where it is not open.
  bool is_open = false;
  bool may_stop = false;
  bool must_stop = false;
};

class ScriptedMask : public TokenMask {
 public:
  using Script = std::function<Legal(const Tokens& accepted)>;
  enum class Breaks { kNever, kFill, kAccept, kTakeBack };

  explicit ScriptedMask(Script script, Breaks breaks = Breaks::kNever)
      : script_(std::move(script)), breaks_(breaks) {}

  bool fill(TokenBits bits) noexcept override {
    std::ranges::fill(bits, 0);
    for (const Token token : script_(accepted_).tokens) {
      const auto index = static_cast<std::size_t>(token);
      bits[index / 32] |= std::uint32_t{1} << index % 32;
    }
    return breaks_ != Breaks::kFill;
  }
  bool allows(Token token) noexcept override {
    return breaks_ != Breaks::kFill && std::ranges::count(script_(accepted_).tokens, token) > 0;
  }
  bool is_open() const noexcept override { return script_(accepted_).is_open; }
  bool accept(Token token) noexcept override {
    const Legal legal = script_(accepted_);
    const bool is_legal = legal.is_open || std::ranges::count(legal.tokens, token) > 0;
    accepted_.push_back(token);
    return is_legal && breaks_ != Breaks::kAccept;
  }
  bool take_back(std::size_t count) noexcept override {
    if (count > accepted_.size() || breaks_ == Breaks::kTakeBack) return false;
    accepted_.resize(accepted_.size() - count);
    return true;
  }
  bool may_stop() const noexcept override { return script_(accepted_).may_stop; }
  bool must_stop() const noexcept override { return script_(accepted_).must_stop; }
  std::string error() const override { return "as the script says"; }

  // Not while an engine uses it.
  const Tokens& accepted() const { return accepted_; }

 private:
  Script script_;
  Breaks breaks_;
  Tokens accepted_;
};

// Nothing but this text.
inline std::shared_ptr<ScriptedMask> mask_of(
    Tokens text, ScriptedMask::Breaks breaks = ScriptedMask::Breaks::kNever) {
  return std::make_shared<ScriptedMask>(
      [text = std::move(text)](const Tokens& accepted) {
        const bool done = accepted.size() >= text.size();
        return done ? Legal{{}, false, true, true} : Legal{{text[accepted.size()]}};
      },
      breaks);
}

}  // namespace llmlocal::testing
