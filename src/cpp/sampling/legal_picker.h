// Picks the likeliest legal tokens by asking a constraint about one after the other.
//
// Mostly that takes much less time than to find out all that may come next, and what is picked is
// the same.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "base/token.h"
#include "sampling/candidates.h"
#include "sampling/constraint.h"

namespace llmlocal {

class LegalPicker {
 public:
  // What pick_top_k(), pick_top_p() and pick_min_p() would pick if the legal tokens were all there
  // are.  False, and `picked` is anything: to find out all that are legal takes less time, or is
  // the only way. The logits are the same afterwards.  Throws ConstraintError.
  bool pick_top_k(std::span<const float> logits,
                  std::size_t k,
                  Constraint& constraint,
                  std::vector<Candidate>& picked);
  bool pick_top_p(std::span<float> logits,
                  float p,
                  float min_p,
                  Constraint& constraint,
                  std::vector<Candidate>& picked);
  bool pick_min_p(std::span<const float> logits,
                  float min_p,
                  Constraint& constraint,
                  std::vector<Candidate>& picked);

 private:
  void begin();
  std::optional<float> find_best(std::span<const float> logits, Constraint& constraint);
  bool ask_above(std::span<const float> logits, float threshold, Constraint& constraint);
  bool find_top_k(std::span<const float> logits, std::size_t k, Constraint& constraint);
  void ask(std::size_t wanted, Constraint& constraint);
  double sum_of_others(std::span<float> logits, float max) const;

  // Reused from token to token.
  std::vector<Candidate> likeliest_;  // In descending order.
  std::size_t asked_ = 0;             // So many of them.
  std::vector<Candidate> legal_;      // Of those.
};

}  // namespace llmlocal
