#include "base/helper_threads.h"

#include <algorithm>
#include <exception>

namespace llmlocal {

void HelperThreads::share(std::size_t count, std::size_t most, const Work& work) {
  if (count == 0) return;
  const std::size_t wanted = std::min(most, count - 1);
  start(wanted);
  std::unique_lock lock(mutex_);
  work_ = &work;
  next_ = 0;
  count_ = count;
  may_join_ = wanted;
  lock.unlock();
  for (std::size_t i = 0; i < wanted; ++i) woken_.notify_one();
  lock.lock();
  do_rest(lock);
  done_.wait(lock, [this] { return in_hand_ == 0; });
}

// As many as can be had.
void HelperThreads::start(std::size_t wanted) noexcept {
  try {
    while (threads_.size() < wanted) threads_.emplace_back(&HelperThreads::help, this);
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): the caller works, too
  }
}

void HelperThreads::end() noexcept {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  woken_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  ends_ = false;
}

void HelperThreads::help() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    woken_.wait(lock, [this] { return ends_ || (next_ < count_ && may_join_ > 0); });
    if (ends_) return;
    --may_join_;
    do_rest(lock);
    if (in_hand_ == 0) done_.notify_one();
  }
}

// The lock is not held while one of it is done.
void HelperThreads::do_rest(std::unique_lock<std::mutex>& lock) {
  while (next_ < count_) {
    const std::size_t index = next_++;
    ++in_hand_;
    lock.unlock();
    (*work_)(index);
    lock.lock();
    --in_hand_;
  }
}

}  // namespace llmlocal
