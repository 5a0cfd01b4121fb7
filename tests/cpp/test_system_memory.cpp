#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "base/memory_ledger.h"
#include "base/memory_reading.h"
#include "base/system_memory.h"

namespace llmlocal::testing {
namespace {

constexpr std::uint64_t kGib = 1ULL << 30;
const std::string kMeminfo =
    "MemTotal:       67108864 kB\nMemFree:         1048576 kB\nMemAvailable:   33554432 kB\n";

// The files of a machine, in a folder of the test's own.
class Machine {
 public:
  Machine() { write("proc/meminfo", kMeminfo); }
  ~Machine() { std::filesystem::remove_all(root_); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  Machine& write(const std::string& file, const std::string& text) {
    std::filesystem::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
    return *this;
  }
  MemoryReading memory() const { return linux_memory(root_); }

 private:
  std::filesystem::path root_ = std::filesystem::temp_directory_path() /
                                ("llmlocal-memory-" + std::to_string(std::random_device{}()));
};

TEST_CASE("memory: of a machine without groups is what it says of itself") {
  CHECK(Machine().memory() == MemoryReading{64 * kGib, 32 * kGib});
}

TEST_CASE("memory: a container's limit counts, and the files that the system would give up don't") {
  Machine machine;
  machine.write("proc/self/cgroup", "0::/\n")
      .write("sys/fs/cgroup/memory.max", std::to_string(8 * kGib) + "\n")
      .write("sys/fs/cgroup/memory.current", std::to_string(5 * kGib) + "\n")
      .write("sys/fs/cgroup/memory.stat",
             "anon 1\nactive_file " + std::to_string(kGib) + "\ninactive_file " +
                 std::to_string(2 * kGib) + "\n");
  CHECK(machine.memory() == MemoryReading{8 * kGib, 6 * kGib});
}

TEST_CASE("memory: a group above limits as well, and one without a limit does not") {
  Machine machine;
  machine.write("proc/self/cgroup", "0::/slice/job\n")
      .write("sys/fs/cgroup/slice/memory.max", std::to_string(4 * kGib))
      .write("sys/fs/cgroup/slice/memory.current", std::to_string(3 * kGib))
      .write("sys/fs/cgroup/slice/job/memory.max", "max\n")
      .write("sys/fs/cgroup/slice/job/memory.current", std::to_string(kGib));
  CHECK(machine.memory() == MemoryReading{4 * kGib, kGib});
}

TEST_CASE("memory: groups of the first generation, seen from inside a container") {
  Machine machine;
  machine
      .write("proc/self/cgroup",
             "9:cpuset:/docker/abc\n5:pids,memory:/docker/abc\n0::/docker/abc\n")
      .write("sys/fs/cgroup/memory/memory.limit_in_bytes", std::to_string(8 * kGib))
      .write("sys/fs/cgroup/memory/memory.usage_in_bytes", std::to_string(7 * kGib))
      .write("sys/fs/cgroup/memory/memory.stat",
             "active_file 5\ntotal_inactive_file " + std::to_string(kGib) + "\n");
  CHECK(machine.memory() == MemoryReading{8 * kGib, 2 * kGib});
}

TEST_CASE("memory: a limit beyond the machine is none, and one that is exceeded leaves nothing") {
  Machine machine;
  machine.write("proc/self/cgroup", "3:memory:/\n")
      .write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
      .write("sys/fs/cgroup/memory/memory.usage_in_bytes", "1000");
  CHECK(machine.memory() == MemoryReading{64 * kGib, 32 * kGib});
  machine.write("sys/fs/cgroup/memory/memory.limit_in_bytes", "900");
  CHECK(machine.memory() == MemoryReading{900, 0});
}

TEST_CASE("memory: what is not there or makes no sense is not known") {
  Machine machine;
  machine.write("proc/meminfo", "").write("proc/self/cgroup", "nonsense\n::\n");
  CHECK(machine.memory() == MemoryReading{});
  CHECK(parse_meminfo("MemTotal: 4 kB\nMemFree: 2 kB\n") == MemoryReading{4096, 2048});
  CHECK(parse_cgroup(CgroupVersion::kV2, {"100", "", ""}) == MemoryReading{100, std::nullopt});
  CHECK(tighter({100, std::nullopt}, {std::nullopt, 500}) == MemoryReading{100, 100});
}

TEST_CASE("memory: this machine has some, and not all of it is free") {
  CHECK(free_memory() > 0);
  CHECK(free_memory() <= total_memory());
}

TEST_CASE("memory: what is taken leaves a little, and where nothing is known all may be tried") {
  CHECK(fits_in_memory(950, 1000));
  CHECK(!fits_in_memory(951, 1000));
  CHECK(fits_in_memory(951, 0));
}

TEST_CASE("ledger: what others were promised and have not taken is not to spare") {
  const auto ledger = std::make_shared<MemoryLedger>();
  CHECK(ledger->spare(1000) == 1000);
  {
    const auto first = MemoryLedger::promise(ledger, 300);
    const auto second = MemoryLedger::promise(ledger, 200);
    CHECK(ledger->spare(1000) == 500);
    first->set_taken(250);  // As the system sees: there is less free, too.
    CHECK(ledger->spare(750) == 500);
    first->set_taken(400);
    CHECK(ledger->promised() == 200);
    CHECK(ledger->spare(100) == 0);
  }
  CHECK(ledger->spare(1000) == 1000);
}

}  // namespace
}  // namespace llmlocal::testing
