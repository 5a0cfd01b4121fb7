#include "guidance/vocabulary.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/big_stack.h"
#include "base/errors.h"

namespace llmlocal {
namespace {

// The insides of strings, short tokens and longer ones: where any of them may come, the library
// need not look at each.  Its own choice has a third set, of what is longer still: a few tokens,
// for which everything takes a third longer and half as much memory again, and no mask is faster.
constexpr const char* kShort = R"([^"\\\x00-\x1F\x7F]{1,10})";
constexpr const char* kLonger = R"([^"\\\x00-\x1F\x7F]{1,30})";

constexpr std::size_t kStackBytes = std::size_t{8} * 1024 * 1024;

// All that is handed over, one text after the other.
struct Texts {
  std::vector<std::uint32_t> lengths;
  std::vector<std::uint8_t> bytes;
  std::vector<std::uint32_t> ends;
};

Texts copy_of(std::span<const TokenText> texts, std::span<const Token> ends) {
  Texts copied;
  copied.lengths.reserve(texts.size());
  for (const TokenText& text : texts) {
    const std::size_t before = copied.bytes.size();
    if (!text.is_text) copied.bytes.push_back(llg::kSpecialToken);
    copied.bytes.insert(copied.bytes.end(), text.bytes.begin(), text.bytes.end());
    copied.lengths.push_back(static_cast<std::uint32_t>(copied.bytes.size() - before));
  }
  copied.ends.assign(ends.begin(), ends.end());
  return copied;
}

llg::Tokenizer* make_tokenizer(const llg::Functions& functions, const Texts& texts) {
  const std::array<const char*, 3> slices{kShort, kLonger, nullptr};
  llg::TokenizerInit init{};
  init.struct_size = sizeof init;
  init.vocab_size = static_cast<std::uint32_t>(texts.lengths.size());
  init.tok_eos = texts.ends.empty() ? llg::kNoToken : texts.ends.front();
  init.token_lens = texts.lengths.data();
  init.token_bytes = texts.bytes.data();
  init.use_approximate_greedy_tokenize_fn = true;  // Nothing here asks it for a text's tokens.
  init.slices = slices.data();
  if (texts.ends.size() > 1) {
    init.tok_eos_extra = texts.ends.data() + 1;
    init.tok_eos_extra_count = static_cast<std::uint32_t>(texts.ends.size() - 1);
  }
  std::array<char, 512> problem{};
  llg::Tokenizer* const made = functions.new_tokenizer_v2(&init, problem.data(), problem.size());
  if (!made) {
    throw ConstraintError(std::string("llguidance refuses the model's vocabulary: ") +
                          problem.data());
  }
  return made;
}

}  // namespace

struct Vocabulary::Made {
  std::shared_ptr<const GuidanceLibrary> library;  // Outlives the next.
  std::unique_ptr<llg::Tokenizer, void (*)(llg::Tokenizer*)> tokenizer;
};

// The thread owns all that it uses: the model can be closed, and the process end, meanwhile.
Vocabulary::Vocabulary(std::shared_ptr<const GuidanceLibrary> library,
                       std::span<const TokenText> texts,
                       std::span<const Token> ends)
    : library_(std::move(library)), size_(texts.size()) {
  const auto made = std::make_shared<Made>(Made{library_, {nullptr, functions().free_tokenizer}});
  const auto copied = std::make_shared<const Texts>(copy_of(texts, ends));
  made_ = made;
  end_ = start_on_big_stack(kStackBytes, [made, copied] {
    made->tokenizer.reset(make_tokenizer(made->library->functions(), *copied));
  });
}

const llg::Tokenizer* Vocabulary::tokenizer() const {
  end_.get();
  return made_->tokenizer.get();
}

}  // namespace llmlocal
