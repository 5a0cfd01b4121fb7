#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>

#include "engine/steps/thread_governor.h"
#include "property.h"

namespace llmlocal::testing {
namespace {

// Nobody else computes: each thread takes its share.
double idle_step(int threads) {
  return 0.010 / threads + 0.001;
}

enum class CpuTime { kUnknown, kKnown };

// A governor, and the machine that it governs.
class Machine {
 public:
  Machine(int cores, Random& random, CpuTime cpu_time = CpuTime::kUnknown)
      : cores_(cores), random_(random), cpu_time_(cpu_time), governor_(cores) {}

  // So many other processes spin.  The cores are shared fairly; threads that don't all run at once
  // wait for each other as long again (2 threads on 2 cores beside 1, 2 and 4 processes were
  // measured to take 2.9, 4.3 and 10 times as long, one thread 1, 1.6 and 2.6 times).
  void set_busy(int processes) { busy_ = processes; }
  double share(int threads) const { return std::min(1.0, 1.0 * cores_ / (threads + busy_)); }
  double step_time(int threads) const {
    const bool all_run = threads + busy_ <= cores_;
    return idle_step(threads) / share(threads) * (all_run || threads == 1 ? 1.0 : 2.0);
  }
  double cpu_time_of(double seconds, int threads) const {
    return seconds * threads * share(threads);
  }

  // Runs so many steps, up to a tenth slower than they need be; returns how many used all cores.
  int run(int steps, std::size_t rows = 1) {
    return run_steps(steps, [rows] { return rows; });
  }

  // Steps of all sizes, as with short answers: more often than not, two in a row are not alike.
  int run_mixed(int steps) {
    return run_steps(steps, [this] {
      return static_cast<std::size_t>(random_.chance(50) ? random_.between(1, 8)
                                                         : random_.between(20, 512));
    });
  }

  template <typename Rows>
  int run_steps(int steps, Rows&& next_rows) {
    int with_all = 0;
    for (int i = 0; i < steps; ++i) {
      const std::size_t rows = next_rows();
      const int threads = governor_.threads();
      with_all += threads == cores_ ? 1 : 0;
      const double work = 1 + static_cast<double>(rows) / 16;
      const double seconds = work * step_time(threads) * (1 + random_.below(100) / 1000.0);
      if (cpu_time_ == CpuTime::kKnown) {
        governor_.observe(rows, seconds, cpu_time_of(seconds, threads));
      } else {
        governor_.observe(rows, seconds);
      }
      total_ += seconds;
    }
    return with_all;
  }

  int threads() const { return governor_.threads(); }
  void rest() { governor_.rest(); }

  // In the next steps, in seconds.
  double mean_step(int steps) {
    total_ = 0;
    run(steps);
    return total_ / steps;
  }

 private:
  int cores_;
  Random& random_;
  CpuTime cpu_time_;
  ThreadGovernor governor_;
  int busy_ = 0;
  double total_ = 0;
};

TEST_CASE("governor: begins with all threads") {
  CHECK(ThreadGovernor(8).threads() == 8);
  CHECK(ThreadGovernor(0).threads() == 1);
}

TEST_CASE("governor: one thread stays one") {
  ThreadGovernor governor(1);
  for (int i = 0; i < 100; ++i) governor.observe(1, 0.010);
  CHECK(governor.threads() == 1);
}

TEST_CASE("governor: on an idle machine trials of fewer threads are one step in fifty at most") {
  for_random_cases(50, [](Random& random) {
    Machine machine(random.between(2, 16), random);
    CHECK(machine.run(5000) >= 4900);
  });
}

TEST_CASE("governor: beside a busy process it leaves a core free from the 40th step on") {
  for_random_cases(50, [](Random& random) {
    Machine machine(random.between(2, 16), random);
    machine.set_busy(1);
    machine.run(40);
    CHECK(machine.run(400) <= 60);
  });
}

TEST_CASE(
    "governor: beside any number of busy processes, up to half of the cores, it comes near to the "
    "best count") {
  for (const int cores : {4, 8, 16}) {
    for (int busy = 1; busy <= cores / 2; ++busy) {
      CAPTURE(cores);
      CAPTURE(busy);
      Random random(1);
      Machine machine(cores, random, CpuTime::kKnown);
      machine.set_busy(busy);
      double best = machine.step_time(cores);
      for (int threads = 1; threads < cores; ++threads) {
        best = std::min(best, machine.step_time(threads));
      }
      machine.run(500);
      CHECK(machine.mean_step(1000) < 1.3 * best);
    }
  }
}

TEST_CASE("governor: a process that comes is noticed soon, however long nothing changed") {
  for_random_cases(50, [](Random& random) {
    Machine machine(random.between(2, 16), random);
    machine.run(4000);
    machine.set_busy(1);
    machine.run(40);
    CHECK(machine.run(400) <= 60);
  });
}

TEST_CASE("governor: who knows that cores are missing leaves them from the tenth step on") {
  for_random_cases(50, [](Random& random) {
    const int cores = random.between(2, 16);
    Machine machine(cores, random, CpuTime::kKnown);
    const int busy = random.between(1, cores / 2);
    machine.set_busy(busy);
    machine.run(15);
    CHECK(machine.threads() < cores);
    machine.run(200);
    CHECK(machine.threads() <= std::max(1, cores - busy));
  });
}

TEST_CASE("governor: on a crowded machine more threads are not tried") {
  for_random_cases(50, [](Random& random) {
    Machine machine(2, random, CpuTime::kKnown);
    machine.set_busy(random.between(2, 9));  // One thread alone does not get its core.
    machine.run(20);
    CHECK(machine.run(2000) == 0);
  });
}

TEST_CASE("governor: a trial that goes badly ends with its first step") {
  Random random(1);
  Machine machine(2, random, CpuTime::kKnown);
  machine.set_busy(1);
  machine.run(20);
  REQUIRE(machine.threads() == 1);
  // After 8 steps, 16, 32 and 64, and then after every 128.
  CHECK(machine.run(1000) <= 12);
}

TEST_CASE("governor: a step is hopeless when its threads run in turns, and not before some time") {
  const ThreadGovernor two(2);
  CHECK(two.is_hopeless(1, 0.1, 0.1));         // Both on one core.
  CHECK_FALSE(two.is_hopeless(1, 0.1, 0.14));  // Beside one process, each with its share.
  CHECK_FALSE(two.is_hopeless(1, 0.05, 0.05));
  CHECK_FALSE(ThreadGovernor(1).is_hopeless(1, 0.1, 0.02));
}

TEST_CASE("governor: a step that is slow by nature gets its time") {
  ThreadGovernor governor(2);
  for (int i = 0; i < 10; ++i) governor.observe(1, 0.07, 0.14);
  CHECK_FALSE(governor.is_hopeless(1, 0.09, 0.09));
  CHECK(governor.is_hopeless(1, 0.11, 0.11));
  CHECK(governor.is_hopeless(512, 0.07, 0.07));  // Of steps of another size nothing is known.
}

TEST_CASE("governor: after a hopeless step there are as many threads as others leave cores") {
  for (const int cores : {2, 4, 16}) {
    ThreadGovernor governor(cores);
    governor.give_up(0.1, 0.05 * cores);  // As many others run.
    CHECK(governor.threads() == 1);
  }
  ThreadGovernor governor(2);
  governor.give_up(0.1, 0);
  CHECK(governor.threads() == 1);
}

TEST_CASE("governor: a trial that is given up has failed") {
  ThreadGovernor governor(2);
  governor.give_up(0.1, 0.1);
  int steps = 0;
  for (; governor.threads() == 1 && steps < 1000; ++steps) governor.observe(1, 0.01, 0.01);
  REQUIRE(governor.threads() == 2);
  governor.give_up(0.1, 0.1);
  CHECK(governor.threads() == 1);
  for (int i = 0; i < steps; ++i) {
    governor.observe(1, 0.01, 0.01);
    REQUIRE(governor.threads() == 1);  // The next one waits for longer.
  }
}

TEST_CASE("governor: a trial is hopeless as soon as it has failed") {
  ThreadGovernor governor(2);
  governor.give_up(0.1, 0.1);
  for (int i = 0; governor.threads() == 1 && i < 100; ++i) governor.observe(1, 0.02, 0.02);
  REQUIRE(governor.threads() == 2);
  CHECK_FALSE(governor.is_hopeless(1, 0.025, 0.025));
  CHECK(governor.is_hopeless(1, 0.035, 0.035));
  CHECK_FALSE(governor.is_hopeless(1, 0.035, 0.060));  // Slow, but not for want of cores.
}

TEST_CASE("governor: a trial of slow steps has no more patience than any step") {
  ThreadGovernor governor(2);
  governor.give_up(0.1, 0.1);
  for (int i = 0; governor.threads() == 1 && i < 100; ++i) governor.observe(1, 0.1, 0.1);
  REQUIRE(governor.threads() == 2);
  CHECK(governor.is_hopeless(1, 0.07, 0.07));
}

TEST_CASE("governor: a moment's trouble costs few steps with fewer threads") {
  Random random(1);
  Machine machine(2, random, CpuTime::kKnown);
  machine.set_busy(1);
  machine.run(12);
  REQUIRE(machine.threads() == 1);
  machine.set_busy(0);
  machine.run(16);
  CHECK(machine.threads() == 2);
}

TEST_CASE("governor: after a rest one trial is made, and not a row of them") {
  Random random(1);
  Machine machine(2, random, CpuTime::kKnown);
  machine.set_busy(1);
  machine.run(1000);
  for (int answer = 0; answer < 10; ++answer) {
    machine.rest();
    CHECK(machine.run(60) <= 1);
  }
}

TEST_CASE("governor: after a rest more threads are tried soon") {
  Random random(1);
  Machine machine(2, random, CpuTime::kKnown);
  machine.set_busy(1);
  machine.run(1000);
  REQUIRE(machine.threads() == 1);
  machine.set_busy(0);
  machine.rest();
  machine.run(12);
  CHECK(machine.threads() == 2);
}

TEST_CASE("governor: long prompts learn as answers do") {
  Random random(1);
  Machine machine(4, random, CpuTime::kKnown);
  machine.set_busy(1);
  machine.run(16, 512);
  CHECK(machine.threads() == 3);
}

TEST_CASE("governor: steps of mixed sizes leave a core to others, and take it back soon") {
  for_random_cases(50, [](Random& random) {
    Machine machine(2, random, CpuTime::kKnown);
    CHECK(machine.run_mixed(500) == 500);
    machine.set_busy(1);
    machine.run_mixed(60);
    CHECK(machine.run_mixed(400) <= 120);
    machine.set_busy(0);
    machine.run_mixed(200);
    CHECK(machine.run_mixed(100) >= 90);
  });
}

TEST_CASE("governor: fewer threads are not tried while all of them get their time") {
  ThreadGovernor governor(2);
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(governor.threads() == 2);
    governor.observe(1, i < 1000 ? 0.010 : 0.020, i < 1000 ? 0.0196 : 0.039);
  }
}

TEST_CASE("governor: threads that miss half a core are tried against fewer") {
  ThreadGovernor governor(2);
  int fewest = 2;
  for (int i = 0; i < 100; ++i) {
    governor.observe(1, 0.030, governor.threads() == 2 ? 0.045 : 0.030);
    fewest = std::min(fewest, governor.threads());
  }
  CHECK(fewest == 1);
}

TEST_CASE("governor: when the machine is free again all threads come back") {
  for_random_cases(50, [](Random& random) {
    Machine machine(2, random);
    machine.set_busy(1);
    machine.run(1000);
    machine.set_busy(0);
    machine.run(1100);
    CHECK(machine.run(400) >= 380);
  });
}

TEST_CASE("governor: a change that gains little is not made") {
  ThreadGovernor governor(2);
  int with_all = 0;
  for (int i = 0; i < 1000; ++i) {
    with_all += governor.threads() == 2 ? 1 : 0;
    governor.observe(1, governor.threads() == 2 ? 0.010 : 0.0095);
  }
  CHECK(with_all >= 950);
}

TEST_CASE("governor: single slow steps change nothing") {
  ThreadGovernor governor(4);
  bool unchanged = true;
  for (int step = 0; step < 40; ++step) {
    // The first trial is over by the 12th step, the second one is not due before the 19th.
    governor.observe(1, step == 13 || step == 17 ? 5.0 : 0.010);
    unchanged = unchanged && (step < 12 || step > 18 || governor.threads() == 4);
  }
  CHECK(unchanged);
}

TEST_CASE("governor: steps of a size that is not known don't decide a trial, but end it in time") {
  ThreadGovernor governor(4);
  for (int i = 0; governor.threads() == 4 && i < 100; ++i) governor.observe(1, 0.010);
  REQUIRE(governor.threads() == 3);
  for (int i = 0; i < 15; ++i) governor.observe(8, i % 2 == 0 ? 0.001 : 0.100);
  CHECK(governor.threads() == 3);
  governor.observe(8, 0.001);
  CHECK(governor.threads() == 4);
}

TEST_CASE("governor: steps without answers say nothing") {
  ThreadGovernor governor(4);
  bool unchanged = true;
  for (int i = 0; i < 100; ++i) {
    governor.observe(0, 0.010);
    unchanged = unchanged && governor.threads() == 4;
  }
  CHECK(unchanged);
}

TEST_CASE("governor: whatever steps take, the count is one that there is") {
  for_random_cases(100, [](Random& random) {
    const int cores = random.between(1, 12);
    ThreadGovernor governor(cores);
    bool in_range = true;
    for (int i = 0; i < 500; ++i) {
      governor.observe(static_cast<std::size_t>(random.chance(90) ? 2 : random.below(9)),
                       random.between(0, 1000) / 1e5);
      in_range = in_range && governor.threads() >= 1 && governor.threads() <= cores;
    }
    CHECK(in_range);
  });
}

}  // namespace
}  // namespace llmlocal::testing
