// TCP connections on which every wait has a limit; for POSIX systems and Windows.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

namespace llmlocal {

// The connection is of no more use; says why, in a few words such as "connection refused".
struct TcpError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

using TimeLimit = std::chrono::milliseconds;
constexpr TimeLimit kNoLimit{-1};

// A socket that closes itself; empty after a move.
class Socket {
 public:
#ifdef _WIN32
  using Handle = std::uintptr_t;
  static constexpr Handle kNone = ~Handle{0};
#else
  using Handle = int;
  static constexpr Handle kNone = -1;
#endif

  Socket() = default;
  explicit Socket(Handle handle) : handle_(handle) {}
  ~Socket();
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != kNone; }

 private:
  Handle handle_ = kNone;
};

class TcpStream {
 public:
  // Tries each address of the host.  Finding them is up to the system and has its own limit.
  static TcpStream connect(const std::string& host, std::uint16_t port, TimeLimit limit);

  explicit TcpStream(Socket socket);

  // All of it, or a TcpError; the limit is for each wait in which nothing moves.
  void send(const void* data, std::size_t size, TimeLimit stall);
  void receive(void* data, std::size_t size, TimeLimit stall);

 private:
  Socket socket_;
};

// Takes connections from this machine only, at a port of the system's choice.
class TcpListener {
 public:
  TcpListener();

  std::uint16_t port() const { return port_; }
  TcpStream accept();

 private:
  Socket socket_;
  std::uint16_t port_ = 0;
};

}  // namespace llmlocal
