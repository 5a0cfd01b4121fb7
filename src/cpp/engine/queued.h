// A request that waits for a stream.
#pragma once

#include <list>
#include <memory>
#include <optional>

#include "base/prefix_key.h"
#include "base/token.h"
#include "engine/outcome.h"
#include "engine/request.h"
#include "engine/running_request.h"
#include "engine/streams/prefix_reader.h"

namespace llmlocal {

struct Queued {
  std::shared_ptr<Request> request;
  Outcome outcome = {};  // Once it has left the queue; of what has no `run`.
  // Once it could run; it may have given up its stream.
  std::unique_ptr<RunningRequest> run = nullptr;
  std::shared_ptr<PrefixReading> reading = nullptr;  // What it waits for from disk, if anything.

  // What is to be evaluated for it: its prompt, and what it has answered already.
  PrefixView text() const { return run ? run->state().prompt : PrefixView(request->spec().prompt); }
  // The part of it whose evaluation may be taken from elsewhere, but for its last token: from there
  // on the logits are wanted.
  PrefixView reusable_text() const {
    const std::optional<Position> score_from = request->spec().score_from;
    return score_from ? text().first(static_cast<std::size_t>(*score_from)) : text();
  }
  Position text_length() const { return static_cast<Position>(text().size()); }
};

// A list, as its members can be moved to another one without fail.
using Queue = std::list<Queued>;

}  // namespace llmlocal
