#include "guidance/library.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/errors.h"

namespace llmlocal {
namespace {

template <typename Function>
void find(const SharedLibrary& library, const char* name, Function*& function) {
  const std::string symbol = std::string("llg_") + name;
  function = reinterpret_cast<Function*>(library.symbol(symbol.c_str()));
  if (!function) {
    throw ConstraintError("the installed llguidance has no function " + symbol);
  }
}

bool is_filled_with(std::span<const std::byte> bytes, std::byte value) {
  return std::ranges::all_of(bytes, [=](std::byte byte) { return byte == value; });
}

}  // namespace

GuidanceLibrary::GuidanceLibrary(const std::filesystem::path& path) : library_(path) {
  if (!library_.problem().empty()) {
    throw ConstraintError("llguidance can't be loaded: " + library_.problem());
  }
#define LLMLOCAL_FIND(name) find(library_, #name, functions_.name)
  LLMLOCAL_FIND(get_version);
  LLMLOCAL_FIND(constraint_init_set_defaults);
  LLMLOCAL_FIND(new_tokenizer_v2);
  LLMLOCAL_FIND(free_tokenizer);
  LLMLOCAL_FIND(new_matcher);
  LLMLOCAL_FIND(clone_matcher);
  LLMLOCAL_FIND(free_matcher);
  LLMLOCAL_FIND(matcher_get_error);
  LLMLOCAL_FIND(matcher_compute_mask_into);
  LLMLOCAL_FIND(matcher_validate_tokens);
  LLMLOCAL_FIND(matcher_consume_token);
  LLMLOCAL_FIND(matcher_rollback);
  LLMLOCAL_FIND(matcher_is_accepting);
  LLMLOCAL_FIND(matcher_is_stopped);
  LLMLOCAL_FIND(matcher_is_error);
#undef LLMLOCAL_FIND
  version_ = functions_.get_version();
  check_layout();
}

// The one structure without a size of its own: the library is asked to fill it, in more room than
// ours takes, and must have written what we expect, where we expect it, and nothing behind it.
void GuidanceLibrary::check_layout() const {
  constexpr std::byte kUntouched{0xA5};
  alignas(llg::ConstraintInit) std::array<std::byte, 4 * sizeof(llg::ConstraintInit)> room{};
  room.fill(kUntouched);
  functions_.constraint_init_set_defaults(reinterpret_cast<llg::ConstraintInit*>(room.data()),
                                          nullptr);
  llg::ConstraintInit init{};
  std::memcpy(&init, room.data(), sizeof init);
  const auto* const flags = room.data() + offsetof(llg::ConstraintInit, limits);
  const bool fits =
      init.tokenizer == nullptr && init.log_buffer_level <= 2 && init.log_stderr_level <= 2 &&
      init.limits.max_items_in_row == 2000 && init.limits.initial_lexer_fuel == 1'000'000 &&
      init.limits.step_lexer_fuel == 200'000 && init.limits.step_max_items == 50'000 &&
      init.limits.max_lexer_states == 250'000 && init.limits.max_grammar_size == 500'000 &&
      flags[offsetof(llg::Limits, precompute_large_lexemes)] == std::byte{1} &&
      flags[offsetof(llg::Limits, verbose_errors)] == std::byte{1} &&
      is_filled_with(std::span(room).subspan(sizeof init), kUntouched);
  if (!fits) {
    throw ConstraintError("the installed " + version_ + " is not of a version that is known here");
  }
}

}  // namespace llmlocal
