// The part of llguidance's C interface that is used here, declared by hand: its wheel for Python
// exports the functions, but carries no header.  Library checks at run time that the layouts hold.
#pragma once

#include <cstddef>
#include <cstdint>

namespace llmlocal::llg {

struct Tokenizer;  // Known by pointer only; likewise the next.
struct Matcher;

struct Limits {
  std::size_t max_items_in_row;
  std::uint64_t initial_lexer_fuel;
  std::uint64_t step_lexer_fuel;
  std::size_t step_max_items;
  std::size_t max_lexer_states;
  std::size_t max_grammar_size;
  bool precompute_large_lexemes;
  bool verbose_errors;
};

struct ConstraintInit {
  const Tokenizer* tokenizer;
  std::uint32_t log_buffer_level;
  std::uint32_t log_stderr_level;
  bool ff_tokens_ok;
  bool backtrack_ok;
  Limits limits;
};

using TokenizeFn =
    std::size_t (*)(const void*, const std::uint8_t*, std::size_t, std::uint32_t*, std::size_t);

struct TokenizerInit {
  std::size_t struct_size;  // The library reads so many bytes and takes what follows as zero.
  std::uint32_t vocab_size;
  std::uint32_t tok_eos;
  const std::uint32_t* token_lens;
  const std::uint8_t* token_bytes;
  const char* tokenizer_json;
  bool tokenize_assumes_string;
  TokenizeFn tokenize_fn;
  bool use_approximate_greedy_tokenize_fn;
  const void* tokenize_user_data;
  const char* const* slices;
  const std::uint32_t* tok_eos_extra;
  std::uint32_t tok_eos_extra_count;
};

inline constexpr std::uint32_t kNoToken = UINT32_MAX;
inline constexpr std::uint8_t kSpecialToken = 0xFF;  // Begins the name of what is no text.

// Each is found by its name with "llg_" before it.  Those that give an int say -1 for failure.
struct Functions {
  const char* (*get_version)();
  void (*constraint_init_set_defaults)(ConstraintInit*, const Tokenizer*);
  Tokenizer* (*new_tokenizer_v2)(const TokenizerInit*, char* error, std::size_t error_size);
  void (*free_tokenizer)(Tokenizer*);
  Matcher* (*new_matcher)(const ConstraintInit*, const char* kind, const char* text);
  Matcher* (*clone_matcher)(const Matcher*);
  void (*free_matcher)(Matcher*);
  const char* (*matcher_get_error)(Matcher*);
  std::int32_t (*matcher_compute_mask_into)(Matcher*, std::uint32_t* bits, std::size_t bytes);
  std::int32_t (*matcher_validate_tokens)(Matcher*, const std::uint32_t* tokens, std::size_t count);
  std::int32_t (*matcher_consume_token)(Matcher*, std::uint32_t token);
  std::int32_t (*matcher_rollback)(Matcher*, std::size_t count);
  bool (*matcher_is_accepting)(Matcher*);
  bool (*matcher_is_stopped)(const Matcher*);
  bool (*matcher_is_error)(const Matcher*);
};

}  // namespace llmlocal::llg
