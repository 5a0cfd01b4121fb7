#include <pybind11/numpy.h>

#include "bindings/bindings.h"
#include "engine/request.h"
#include "sampling/token_mask.h"

namespace llmlocal::python {
namespace {

RequestSpec make_spec(Tokens prompt,
                      SamplingParams sampling,
                      std::optional<std::int32_t> max_tokens,
                      StopStrings stops,
                      std::optional<double> timeout,
                      std::shared_ptr<TokenMask> mask,
                      std::optional<std::int32_t> logprobs,
                      std::optional<Position> score_from,
                      bool tells_prompt_done) {
  RequestSpec spec;
  spec.prompt = std::move(prompt);
  spec.sampling = std::move(sampling);
  if (max_tokens) spec.max_tokens = *max_tokens;
  spec.stops = std::move(stops);
  if (timeout) spec.timeout = std::chrono::duration<double>(*timeout);
  spec.mask = std::move(mask);
  spec.logprobs = logprobs;
  spec.score_from = score_from;
  spec.tells_prompt_done = tells_prompt_done;
  return spec;
}

TokenChannel::Until until_of(bool until_end) {
  return until_end ? TokenChannel::Until::kEnd : TokenChannel::Until::kNews;
}

// (chosen logprob, whether it is the best, ids of the best, their logprobs)
py::object as_python(const Logprobs* logprobs) {
  if (logprobs == nullptr) return py::none();
  const auto size = static_cast<py::ssize_t>(logprobs->best.size());
  py::array_t<Token> tokens(size);
  py::array_t<float> values(size);
  for (py::ssize_t i = 0; i < size; ++i) {
    const TokenLogprob& each = logprobs->best[static_cast<std::size_t>(i)];
    tokens.mutable_at(i) = each.token;
    values.mutable_at(i) = each.logprob;
  }
  return py::make_tuple(logprobs->chosen.logprob, logprobs->is_best, tokens, values);
}

// Appends the events as (token, text, logprobs) to a list; returns the outcome once there is one,
// and how much of the prompt is there.  Python runs signal handlers as soon as this returns, and
// what one raises would take a result with it: so the events are not part of the result.
py::tuple read(Request& request, const py::list& into, std::int32_t timeout_ms, bool until_end) {
  TokenChannel::Read news;
  {
    const WithoutGil no_gil;
    news = request.channel().read(std::chrono::milliseconds(timeout_ms), until_of(until_end));
  }
  py::list events(news.events.size());
  for (std::size_t i = 0; i < news.events.size(); ++i) {
    const TokenEvent& event = news.events[i];
    events[i] = py::make_tuple(event.token, event.text, as_python(event.logprobs.get()));
  }
  py::tuple result = py::make_tuple(news.outcome, news.prompt_done);
  const py::ssize_t end = PyList_GET_SIZE(into.ptr());
  if (PyList_SetSlice(into.ptr(), end, end, events.ptr()) != 0) throw py::error_already_set();
  return result;
}

}  // namespace

void bind_request(py::module_& module) {
  py::native_enum<FinishReason>(module, "FinishReason", "enum.Enum")
      .value("STOP", FinishReason::kStop)
      .value("LENGTH", FinishReason::kLength)
      .value("CANCELLED", FinishReason::kCancelled)
      .value("TIMEOUT", FinishReason::kTimeout)
      .finalize();

  py::class_<Usage>(module, "Usage")
      .def_readonly("prompt_tokens", &Usage::prompt_tokens)
      .def_readonly("cached_tokens", &Usage::cached_tokens)
      .def_readonly("completion_tokens", &Usage::completion_tokens);

  py::class_<Timings>(module, "Timings")
      .def_readonly("queue_s", &Timings::queue_s)
      .def_readonly("prompt_s", &Timings::prompt_s)
      .def_readonly("first_token_s", &Timings::first_token_s)
      .def_readonly("per_token_s", &Timings::per_token_s)
      .def_readonly("total_s", &Timings::total_s);

  py::class_<Outcome, std::shared_ptr<Outcome>>(module, "Outcome")
      .def_readonly("finish_reason", &Outcome::reason)
      .def_readonly("stop_match", &Outcome::stop_match)
      .def_readonly("usage", &Outcome::usage)
      .def_readonly("timings", &Outcome::timings)
      .def(
          "raise_error",
          [](const Outcome& outcome) {
            // A task of a daemon thread learns here that its model was closed by the exit.
            const WithoutGil no_gil;
            if (outcome.error) std::rethrow_exception(outcome.error);
          },
          "Raise what the request failed with, if it did.");

  py::class_<StopStrings>(module, "StopStrings")
      .def(py::init([](std::vector<std::string> strings) {
             const WithoutGil no_gil;
             return StopStrings(std::move(strings));
           }),
           py::arg("strings"));

  py::class_<RequestSpec>(module, "RequestSpec")
      .def(py::init(&make_spec),
           py::arg("prompt"),
           py::kw_only(),
           py::arg("sampling"),
           py::arg("max_tokens"),
           py::arg("stops"),
           py::arg("timeout"),
           py::arg("mask") = nullptr,
           py::arg("logprobs") = py::none(),
           py::arg("score_from") = py::none(),
           py::arg("tells_prompt_done") = false);

  py::class_<ReadyQueue, std::shared_ptr<ReadyQueue>>(module, "ReadyQueue")
      .def(py::init<>())
      .def("push", &ReadyQueue::push, py::arg("id"))
      .def(
          "wait",
          [](ReadyQueue& queue, std::int32_t timeout_ms) {
            const WithoutGil no_gil(ThreadOf::kOurs);
            return queue.wait(std::chrono::milliseconds(timeout_ms));
          },
          py::arg("timeout_ms"),
          "The ids of the requests with news; empty after the timeout.");

  py::class_<Request, std::shared_ptr<Request>>(module, "Request")
      .def("cancel", &Request::cancel)
      .def("read",
           &read,
           py::arg("events"),
           py::arg("timeout_ms"),
           py::kw_only(),
           py::arg("until_end"))
      .def(
          "announce_on",
          [](Request& request, std::shared_ptr<ReadyQueue> queue, RequestId id, bool until_end) {
            request.channel().announce_on(std::move(queue), id, until_of(until_end));
          },
          py::arg("queue"),
          py::arg("id"),
          py::kw_only(),
          py::arg("until_end"));
}

}  // namespace llmlocal::python
