// Chooses tokens as llama.cpp's own sampler chain does, with short cuts where the result is the
// same distribution.
//
// Logit bias and penalties touch only the tokens they are about; greedy is one pass; with top-k,
// top-p or min-p, the few candidates come straight from the raw logits and only they go through
// llama.cpp's samplers.  DRY, top-n-sigma, Mirostat and very flat distributions take the long way
// over the whole vocabulary.  Where an answer is held to something, the short cuts look at the
// likeliest tokens first (LegalPicker): mostly nobody has to find out which others are legal.
#pragma once

#include <llama.h>

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/token.h"
#include "llama/dry_samplers.h"
#include "llama/model.h"
#include "sampling/candidates.h"
#include "sampling/legal_picker.h"
#include "sampling/penalty_window.h"
#include "sampling/sampler.h"
#include "sampling/sampling_params.h"

namespace llmlocal {

class SamplerChain : public Sampler {
 public:
  // `short_cuts` false: always the long way, for comparing the two.
  SamplerChain(DrySamplers& dry,
               const SamplingParams& params,
               std::span<const Token> prompt,
               bool short_cuts = true);

  Token choose(std::span<float> logits, Constraint* constraint) override;
  void accept(Token token) override;
  void take_back(std::size_t count) override;

 private:
  enum class Way { kGreedy, kTopK, kTopP, kMinP, kWhole };

  static Way choose_way(const SamplingParams& params, bool short_cuts);
  void build_chain(DrySamplers& dry, const SamplingParams& params);
  void add(llama_sampler* sampler);
  Token choose_legal(std::span<float> logits, Constraint& constraint);
  bool pick_legal(std::span<float> logits, Constraint& constraint);
  Token choose_among(std::span<const float> logits, std::span<const Token> tokens);
  void pick(std::span<const float> logits);
  Token choose_picked();
  void collect(std::span<const float> logits);
  Token draw();

  Way way_;
  std::int32_t top_k_;
  float top_p_;
  float min_p_;
  std::vector<std::pair<Token, float>> bias_;
  PenaltyWindow penalties_;
  LlamaSampler chain_;
  llama_sampler* dry_ = nullptr;  // In the chain, if it is asked for: it looks back on the tokens.
  std::size_t dry_last_n_ = 0;
  Tokens seen_;  // By DRY.

  // Reused from token to token.
  LegalPicker legal_;
  std::vector<Candidate> picked_;
  std::vector<float> few_logits_;
  std::vector<llama_token_data> candidates_;
  bool sorted_ = false;
};

class SamplerChainFactory : public SamplerFactory {
 public:
  SamplerChainFactory(std::shared_ptr<const Model> model, Position context_length)
      : model_(std::move(model)), dry_(model_->vocab(), context_length) {}

  std::unique_ptr<Sampler> make(const SamplingParams& params,
                                std::span<const Token> prompt) override {
    return std::make_unique<SamplerChain>(dry_, params, prompt);
  }

 private:
  std::shared_ptr<const Model> model_;
  DrySamplers dry_;
};

}  // namespace llmlocal
