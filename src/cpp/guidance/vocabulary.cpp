#include "guidance/vocabulary.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/errors.h"

namespace llmlocal {
namespace {

// The insides of strings, short tokens and longer ones: where any of them may come, the library
// need not look at each.  Its own choice has a third set, of what is longer still: a few tokens,
// for which everything takes a third longer and half as much memory again, and no mask is faster.
constexpr const char* kShort = R"([^"\\\x00-\x1F\x7F]{1,10})";
constexpr const char* kLonger = R"([^"\\\x00-\x1F\x7F]{1,30})";

llg::Tokenizer* make_tokenizer(const llg::Functions& functions,
                               std::span<const TokenText> texts,
                               std::span<const Token> ends) {
  std::vector<std::uint32_t> lengths;
  std::vector<std::uint8_t> bytes;
  lengths.reserve(texts.size());
  for (const TokenText& text : texts) {
    const std::size_t before = bytes.size();
    if (!text.is_text) bytes.push_back(llg::kSpecialToken);
    bytes.insert(bytes.end(), text.bytes.begin(), text.bytes.end());
    lengths.push_back(static_cast<std::uint32_t>(bytes.size() - before));
  }
  const std::vector<std::uint32_t> end_ids(ends.begin(), ends.end());
  const std::array<const char*, 3> slices{kShort, kLonger, nullptr};

  llg::TokenizerInit init{};
  init.struct_size = sizeof init;
  init.vocab_size = static_cast<std::uint32_t>(texts.size());
  init.tok_eos = end_ids.empty() ? llg::kNoToken : end_ids.front();
  init.token_lens = lengths.data();
  init.token_bytes = bytes.data();
  init.use_approximate_greedy_tokenize_fn = true;  // Nothing here asks it for a text's tokens.
  init.slices = slices.data();
  if (end_ids.size() > 1) {
    init.tok_eos_extra = end_ids.data() + 1;
    init.tok_eos_extra_count = static_cast<std::uint32_t>(end_ids.size() - 1);
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

Vocabulary::Vocabulary(std::shared_ptr<const GuidanceLibrary> library,
                       std::span<const TokenText> texts,
                       std::span<const Token> ends)
    : library_(std::move(library)),
      tokenizer_(make_tokenizer(library_->functions(), texts, ends),
                 library_->functions().free_tokenizer),
      size_(texts.size()) {}

}  // namespace llmlocal
