// A constraint, compiled for a vocabulary: gives each request that must obey it a mask.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

#include "guidance/grammar_mask.h"
#include "guidance/vocabulary.h"

namespace llmlocal {

class Grammar {
 public:
  // Text that is longer is refused, and so is text whose brackets are nested deeper: the library
  // recurses into them.
  static constexpr std::size_t kMaxBytes = std::size_t{1024} * 1024;
  static constexpr std::size_t kMaxDepth = 200;
  // What takes longer is given up: a thread works on it until it is done, and is not heard of
  // again.
  static constexpr std::chrono::milliseconds kMaxTime{1500};

  // `kind`: "json" (a schema), "regex" or "lark".  The caller's thread waits.  Throws
  // ConstraintError for what is wrong, too large, can't be enforced, or allows nothing at all.
  Grammar(std::shared_ptr<const Vocabulary> vocabulary,
          const std::string& kind,
          const std::string& text);

  // For one answer, from its beginning.  Any thread.
  std::shared_ptr<GrammarMask> mask() const;

 private:
  std::shared_ptr<const Vocabulary> vocabulary_;
  mutable std::mutex mutex_;  // Guards the matcher while it is copied.
  GrammarMask::Matcher matcher_;
};

}  // namespace llmlocal
