#include "engine/streams/prefix_writer.h"

#include <utility>

#ifdef __linux__
#include <sys/resource.h>
#endif

namespace llmlocal {
namespace {

// Sums and copies are work as well, and whoever computes comes first.
void yield_to_others() {
#ifdef __linux__
  constexpr int kNice = 10;
  setpriority(PRIO_PROCESS, 0, kNice);  // Of this thread alone, on Linux.
#endif
}

}  // namespace

PrefixWriter::PrefixWriter(std::shared_ptr<PrefixFiles> files)
    : files_(std::move(files)), thread_(&PrefixWriter::run, this) {}

PrefixWriter::~PrefixWriter() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool PrefixWriter::has_place() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size() < kMostWaiting;
}

void PrefixWriter::wait_for_place() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return waiting_.size() < kMostWaiting; });
}

void PrefixWriter::take(PrefixKey key, StateBlob blob) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(key), std::move(blob)});
  }
  changed_.notify_all();
}

void PrefixWriter::run() noexcept {
  yield_to_others();
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    // It keeps its place in the queue while it is written: it takes memory until then.
    const Entry& entry = waiting_.front();
    lock.unlock();
    try {
      files_->write(entry.key, entry.blob);
    } catch (...) {  // NOLINT(bugprone-empty-catch): no memory for it; the next may be smaller
    }
    lock.lock();
    waiting_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace llmlocal
