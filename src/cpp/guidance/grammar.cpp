#include "guidance/grammar.h"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/big_stack.h"
#include "base/errors.h"
#include "guidance/grammar_mask.h"

namespace llmlocal {
namespace {

// Threads that others start may have little: half a megabyte on macOS.
constexpr std::size_t kStackBytes = std::size_t{64} * 1024 * 1024;

// How deep the brackets of any kind are nested; what is between double quotes is looked at by
// itself: it may be a pattern.
std::size_t depth_of(std::string_view text) {
  std::size_t depth = 0;
  std::size_t depth_in_quotes = 0;
  std::size_t deepest = 0;
  bool is_quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::size_t& current = is_quoted ? depth_in_quotes : depth;
    switch (text[i]) {
      case '\\':
        ++i;
        break;
      case '"':
        is_quoted = !is_quoted;
        depth_in_quotes = 0;
        break;
      case '(':
      case '[':
      case '{':
        deepest = std::max(deepest, ++current);
        break;
      case ')':
      case ']':
      case '}':
        if (current > 0) --current;
        break;
      default:
        break;
    }
  }
  return deepest;
}

void check_size(const std::string& text) {
  if (text.size() > Grammar::kMaxBytes) {
    throw ConstraintError("a constraint may have " + std::to_string(Grammar::kMaxBytes) +
                          " bytes at most, this one has " + std::to_string(text.size()));
  }
  if (text.find('\0') != std::string::npos) {
    throw ConstraintError("a constraint may not hold the character U+0000 as it is; escape it");
  }
  if (const std::size_t depth = depth_of(text); depth > Grammar::kMaxDepth) {
    throw ConstraintError("the brackets of a constraint may be nested " +
                          std::to_string(Grammar::kMaxDepth) + " deep at most, here they are " +
                          std::to_string(depth));
  }
}

// Compiles on a stack of its own, in its own time.
llg::Matcher* compile(const Vocabulary& vocabulary,
                      const std::string& kind,
                      const std::string& text) {
  llg::ConstraintInit init{};
  vocabulary.functions().constraint_init_set_defaults(&init, vocabulary.tokenizer());
  init.log_buffer_level = 0;
  init.log_stderr_level = 0;
  init.limits.verbose_errors = false;
  init.limits.step_max_items *= 5;  // For grammars that go character by character.
  return vocabulary.functions().new_matcher(&init, kind.c_str(), text.c_str());
}

// Throws ConstraintError for one that failed, or that allows nothing.
void check(const Vocabulary& vocabulary, llg::Matcher* matcher) {
  const llg::Functions& functions = vocabulary.functions();
  std::vector<std::uint32_t> bits((vocabulary.size() + 31) / 32);
  // The first mask is the dearest, and shows what allows nothing: recursion without an end.
  bool allows_any = functions.matcher_is_accepting(matcher);
  if (!functions.matcher_is_error(matcher)) {
    const std::size_t bytes = bits.size() * sizeof(std::uint32_t);
    const bool is_filled = functions.matcher_compute_mask_into(matcher, bits.data(), bytes) == 0;
    allows_any |= is_filled && std::ranges::any_of(bits, [](auto word) { return word != 0; });
  }
  if (const char* const problem = functions.matcher_get_error(matcher)) {
    throw ConstraintError(problem);
  }
  if (!allows_any) throw ConstraintError("no answer can obey it: it allows nothing to begin with");
}

GrammarMask::Matcher make_matcher(const std::shared_ptr<const Vocabulary>& vocabulary,
                                  const std::string& kind,
                                  const std::string& text) {
  check_size(text);
  vocabulary->tokenizer();  // Waits for it: that is no time of the constraint's.
  struct Made {
    GrammarMask::Matcher matcher;
  };
  const auto made = std::make_shared<Made>(Made{{nullptr, vocabulary->functions().free_matcher}});
  const bool in_time = run_on_big_stack_for(Grammar::kMaxTime, kStackBytes, [=] {
    made->matcher.reset(compile(*vocabulary, kind, text));
    check(*vocabulary, made->matcher.get());
  });
  if (!in_time) {
    throw ConstraintError("the constraint is too complex: it took longer than " +
                          std::to_string(Grammar::kMaxTime.count()) + " ms to compile");
  }
  return std::move(made->matcher);
}

}  // namespace

Grammar::Grammar(std::shared_ptr<const Vocabulary> vocabulary,
                 const std::string& kind,
                 const std::string& text)
    : vocabulary_(std::move(vocabulary)), matcher_(make_matcher(vocabulary_, kind, text)) {}

std::shared_ptr<GrammarMask> Grammar::mask() const {
  const llg::Functions& functions = vocabulary_->functions();
  const std::lock_guard lock(mutex_);
  return std::make_shared<GrammarMask>(
      vocabulary_,
      GrammarMask::Matcher(functions.clone_matcher(matcher_.get()), functions.free_matcher));
}

}  // namespace llmlocal
