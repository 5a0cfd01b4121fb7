#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "base/errors.h"
#include "sampling/sampling_params.h"

namespace llmlocal::testing {
namespace {

constexpr std::int32_t kVocab = 100;
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// What validate() says; empty if it has nothing to say.
std::string complaint(const std::function<void(SamplingParams&)>& change) {
  SamplingParams params;
  change(params);
  try {
    params.validate(kVocab);
  } catch (const ParameterError& error) {
    return error.what();
  }
  return "";
}

struct FloatField {
  std::string name;
  float SamplingParams::* field;
  std::vector<float> good;
  std::vector<float> bad;
  std::string range;
};

const std::vector<FloatField> kFloatFields = {
    {"temp", &SamplingParams::temperature, {0, 1e-6F, 100}, {-0.1F, kInf}, "a finite number >= 0"},
    {"top_p", &SamplingParams::top_p, {1e-6F, 1}, {0, 1.01F, -1}, "in (0, 1]"},
    {"min_p", &SamplingParams::min_p, {0, 1}, {-0.01F, 1.01F}, "in [0, 1]"},
    {"typical_p", &SamplingParams::typical_p, {1e-6F, 1}, {0, 1.01F}, "in (0, 1]"},
    {"top_n_sigma", &SamplingParams::top_n_sigma, {-1, 0, 3}, {kInf, -kInf}, "a finite number"},
    {"repeat_penalty",
     &SamplingParams::repeat_penalty,
     {0.1F, 2},
     {0, -1, kInf},
     "a finite number > 0"},
    {"frequency_penalty", &SamplingParams::frequency_penalty, {-2, 2}, {kInf}, "a finite number"},
    {"presence_penalty", &SamplingParams::presence_penalty, {-2, 2}, {-kInf}, "a finite number"},
    {"dry_multiplier",
     &SamplingParams::dry_multiplier,
     {0, 2},
     {-0.1F, kInf},
     "a finite number >= 0"},
    {"dry_base", &SamplingParams::dry_base, {1, 4}, {0.99F, kInf}, "a finite number >= 1"},
    {"xtc_probability", &SamplingParams::xtc_probability, {0, 1}, {-0.1F, 1.1F}, "in [0, 1]"},
    {"xtc_threshold", &SamplingParams::xtc_threshold, {0, 1}, {-0.1F, 1.1F}, "in [0, 1]"},
    {"mirostat_tau",
     &SamplingParams::mirostat_tau,
     {0.1F, 9},
     {0, -1, kInf},
     "a finite number > 0"},
    {"mirostat_eta",
     &SamplingParams::mirostat_eta,
     {0.1F, 1},
     {0, -1, kInf},
     "a finite number > 0"},
};

struct IntField {
  std::string name;
  std::int32_t SamplingParams::* field;
  std::vector<std::int32_t> good;
  std::vector<std::int32_t> bad;
  std::string range;
};

const std::vector<IntField> kIntFields = {
    {"top_k", &SamplingParams::top_k, {0, 1, 1'000'000}, {-1}, ">= 0"},
    {"repeat_last_n", &SamplingParams::repeat_last_n, {0, 1'000'000}, {-1}, ">= 0"},
    {"dry_allowed_length", &SamplingParams::dry_allowed_length, {0, 9}, {-1}, ">= 0"},
    {"dry_last_n", &SamplingParams::dry_last_n, {0, 9}, {-1}, ">= 0"},
    {"mirostat", &SamplingParams::mirostat, {0, 1, 2}, {-1, 3}, "0 (off), 1 or 2"},
};

void check_names_all(const std::string& message,
                     const std::string& name,
                     const std::string& range) {
  CAPTURE(message);
  CHECK(message.starts_with(name + " must be " + range));
  CHECK(message.find(", got ") != std::string::npos);
}

TEST_CASE("sampling: the defaults are valid, with any seed") {
  CHECK(complaint([](SamplingParams&) {}).empty());
  CHECK(complaint([](SamplingParams& params) { params.seed = ~0ULL; }).empty());
}

TEST_CASE("sampling: each number has a range, ends included as documented") {
  for (const FloatField& each : kFloatFields) {
    CAPTURE(each.name);
    for (const float value : each.good) {
      CHECK(complaint([&](SamplingParams& params) { params.*each.field = value; }).empty());
    }
    std::vector<float> bad = each.bad;
    bad.push_back(kNaN);
    for (const float value : bad) {
      check_names_all(complaint([&](SamplingParams& params) { params.*each.field = value; }),
                      each.name,
                      each.range);
    }
  }
  for (const IntField& each : kIntFields) {
    CAPTURE(each.name);
    for (const std::int32_t value : each.good) {
      CHECK(complaint([&](SamplingParams& params) { params.*each.field = value; }).empty());
    }
    for (const std::int32_t value : each.bad) {
      check_names_all(complaint([&](SamplingParams& params) { params.*each.field = value; }),
                      each.name,
                      each.range);
    }
  }
}

TEST_CASE("sampling: the message says the value") {
  CHECK(complaint([](SamplingParams& params) { params.top_p = 1.5F; }) ==
        "top_p must be in (0, 1] (1 = off), got 1.5");
  CHECK(complaint([](SamplingParams& params) { params.top_k = -3; }) ==
        "top_k must be >= 0 (0 = off), got -3");
}

TEST_CASE("sampling: biases name tokens of the vocabulary, and are numbers or a ban") {
  const auto with_bias = [](Token token, float bias) {
    return complaint(
        [=](SamplingParams& params) { params.logit_bias = {{1, 0.5F}, {token, bias}}; });
  };
  CHECK(with_bias(0, -kInf).empty());
  CHECK(with_bias(kVocab - 1, -100).empty());
  CHECK(with_bias(kVocab, 1).find("logit_bias") == 0);
  CHECK(with_bias(kVocab, 1).ends_with("got 100"));
  CHECK(with_bias(-1, 1).ends_with("got -1"));
  CHECK(with_bias(2, kInf).ends_with("got inf"));
  CHECK(with_bias(2, kNaN).ends_with("got nan"));
}

TEST_CASE("sampling: greedy is temperature 0, or one candidate") {
  const auto is_greedy = [](float temperature, std::int32_t top_k, std::int32_t mirostat) {
    SamplingParams params;
    params.temperature = temperature;
    params.top_k = top_k;
    params.mirostat = mirostat;
    return params.is_greedy();
  };
  CHECK(is_greedy(0, 40, 0));
  CHECK(is_greedy(0, 40, 2));
  CHECK(is_greedy(0.7F, 1, 0));
  CHECK_FALSE(is_greedy(0.7F, 1, 1));  // Mirostat replaces top-k.
  CHECK_FALSE(is_greedy(0.7F, 40, 0));
}

TEST_CASE("sampling: penalties are on where one differs from its off value and looks back") {
  SamplingParams params;
  CHECK_FALSE(params.has_penalties());
  params.repeat_penalty = 1.1F;
  CHECK(params.has_penalties());
  params.repeat_last_n = 0;
  CHECK_FALSE(params.has_penalties());
  params = {};
  params.frequency_penalty = -0.1F;
  CHECK(params.has_penalties());
  params = {};
  params.presence_penalty = 0.1F;
  CHECK(params.has_penalties());
}

TEST_CASE("sampling: DRY is on with a multiplier and something to search") {
  SamplingParams params;
  CHECK_FALSE(params.has_dry());
  params.dry_multiplier = 0.8F;
  CHECK(params.has_dry());
  params.dry_last_n = 0;
  CHECK_FALSE(params.has_dry());
}

}  // namespace
}  // namespace llmlocal::testing
