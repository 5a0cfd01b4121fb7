#include "engine/encoder/text_queue.h"

#include <algorithm>
#include <optional>

namespace llmlocal {

std::vector<TakenText> TextQueue::take(std::size_t tokens, std::size_t most_texts) {
  std::vector<TakenText> batch;
  if (jobs_.empty()) return batch;
  batch.reserve(most_texts);  // So that nothing fails once a text is taken.
  std::size_t room = std::max(tokens, jobs_.front()->longest());
  for (bool added = true; added;) {
    added = false;
    for (const auto& job : jobs_) {
      if (batch.size() == most_texts) break;
      const std::optional<std::size_t> index = job->take_longest(room);
      if (!index) continue;
      batch.push_back({job.get(), *index});
      room -= batch.back().tokens().size();
      added = true;
    }
  }
  jobs_.splice(jobs_.end(), jobs_, jobs_.begin());
  return batch;
}

std::size_t TextQueue::texts() const noexcept {
  std::size_t total = 0;
  for (const auto& job : jobs_) total += job->waiting();
  return total;
}

}  // namespace llmlocal
