// The jobs whose texts wait to be evaluated, and which of these go together.
//
// A batch is small: every row attends over the whole batch, so that many texts in one large batch
// cost several times as much on a CPU as in small ones.  It is filled with the longest texts that
// fit, one of each job in turn, so that a short question need not wait for a thousand documents.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <vector>

#include "engine/encoder/embedding_job.h"

namespace llmlocal {

// A list, as its members can be moved to another one without fail.
using Jobs = std::list<std::shared_ptr<EmbeddingJob>>;

struct TakenText {
  EmbeddingJob* job = nullptr;
  std::size_t index = 0;  // Of the text in the job.

  const Tokens& tokens() const { return job->text(index); }
};

class TextQueue {
 public:
  // All of them have texts that wait.
  void add(Jobs& jobs) noexcept { jobs_.splice(jobs_.end(), jobs); }

  // Takes the next batch: up to `most_texts` texts of up to `tokens` tokens together, or of as many
  // as the first of them has.  Empty if none wait.
  std::vector<TakenText> take(std::size_t tokens, std::size_t most_texts);

  // Drops the jobs that are over; until then it holds them.
  void drop_ended() noexcept {
    jobs_.remove_if([](const auto& job) { return job->is_over(); });
  }

  bool is_empty() const { return jobs_.empty(); }
  const Jobs& jobs() const { return jobs_; }  // Whose turn is next stands first.
  std::size_t texts() const noexcept;         // That wait.

 private:
  Jobs jobs_;
};

}  // namespace llmlocal
