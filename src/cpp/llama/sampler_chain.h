// Chooses tokens as llama.cpp's own sampler chain does, with short cuts where the result is the
// same distribution.
//
// Logit bias and penalties touch only the tokens they are about; greedy is one pass; with top-k,
// or top-p alone, the few candidates come straight from the raw logits and only they go through
// llama.cpp's samplers.  DRY, top-n-sigma, Mirostat and very flat distributions take the long way
// over the whole vocabulary.
#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/token.h"
#include "engine/decoder.h"
#include "sampling/candidates.h"
#include "sampling/penalty_window.h"
#include "sampling/sampling_params.h"

namespace llmlocal {

class SamplerChain : public Sampler {
 public:
  // `short_cuts` false: always the long way, for comparing the two.
  SamplerChain(const llama_vocab* vocab,
               const SamplingParams& params,
               std::span<const Token> prompt,
               bool short_cuts = true);

  Token sample(std::span<float> logits) override;

 private:
  struct Free {
    void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
  };
  enum class Way { kGreedy, kTopK, kTopP, kWhole };

  static Way choose_way(const SamplingParams& params, bool short_cuts);
  void build_chain(const llama_vocab* vocab, const SamplingParams& params);
  void add(llama_sampler* sampler);
  void collect(std::span<const float> logits);
  Token draw();
  void accept(Token token);

  Way way_;
  std::int32_t top_k_;
  float top_p_;
  float min_p_;
  std::vector<std::pair<Token, float>> bias_;
  PenaltyWindow penalties_;
  std::unique_ptr<llama_sampler, Free> chain_;
  bool chain_remembers_ = false;  // DRY looks back on the tokens.

  // Reused from token to token.
  std::vector<Candidate> picked_;
  std::vector<llama_token_data> candidates_;
  bool sorted_ = false;
};

}  // namespace llmlocal
