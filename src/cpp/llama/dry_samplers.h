// Makes llama.cpp's DRY samplers, and remembers the last few to copy them.
//
// A new one compares each of its breakers with the whole vocabulary: 20 breakers take 0.6 s on one
// of 262,144 tokens.  Requests mostly ask for the same ones, and a copy takes microseconds.
#pragma once

#include <llama.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "sampling/sampling_params.h"

namespace llmlocal {

struct FreeSampler {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};
using LlamaSampler = std::unique_ptr<llama_sampler, FreeSampler>;

class DrySamplers {
 public:
  // The vocabulary outlives it.  No text is longer than `longest` tokens.
  DrySamplers(const llama_vocab* vocab, std::int32_t longest) : vocab_(vocab), longest_(longest) {}

  std::int32_t vocab_size() const { return llama_vocab_n_tokens(vocab_); }
  // One that has seen nothing.  Any thread.  Throws EngineError.
  LlamaSampler make(SamplingParams params);

 private:
  static constexpr std::size_t kMostKept = 4;

  struct Kept {
    SamplingParams params;
    std::shared_ptr<const llama_sampler> sampler;
  };

  std::shared_ptr<const llama_sampler> find(const SamplingParams& params);
  LlamaSampler make_anew(const SamplingParams& params) const;

  const llama_vocab* vocab_;
  std::int32_t longest_;
  std::mutex mutex_;  // Guards kept_.
  std::deque<Kept> kept_;
};

}  // namespace llmlocal
