// Stands between ggml's RPC client and a server, so that a server's failure is not the process's.
//
// ggml ends the process when a server breaks off, and does so on a thread of its own, where nothing
// can catch it; and it waits without limit.  So ggml talks to a relay on this machine instead.  The
// relay passes everything on while the server lives.  Once the server has broken off, is silent for
// too long or answers nonsense, the relay books a loss and gives ggml answers that it can live
// with, and whoever uses the results asks for losses first.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "net/tcp.h"

namespace llmlocal {

// A server's address as users write it: "host:port", an IPv6 host in brackets.
struct RpcAddress {
  std::string host;
  std::uint16_t port = 0;

  std::string text() const;
};

struct RpcLimits {
  TimeLimit connect{5'000};  // For the connection and the first answer.
  TimeLimit stall{120'000};  // Of silence while an answer is due, computing included.
};

class RpcRelay {
 public:
  // Starts to listen; connects to the server once ggml connects here.  Throws TcpError.
  RpcRelay(RpcAddress server, const RpcLimits& limits);
  // Never destroyed: ggml keeps what it has once heard of for the life of the process.
  ~RpcRelay() = delete;

  const RpcAddress& server() const { return server_; }
  // Where ggml finds the relay: "127.0.0.1:port".
  std::string endpoint() const;

  // Asks the server itself how many devices it has.  Throws TcpError with what is wrong with it.
  std::uint32_t count_devices() const;

  // Whether ggml is connected: the server, which serves one client at a time, is then busy with us.
  bool is_connected() const;
  // Whether that connection is one that the server was lost from, and stays: when the last model on
  // it was closed, ggml hangs up a moment later, which is waited for.
  bool is_broken() const;
  // How often the server was lost so far.
  std::uint64_t losses() const { return losses_; }
  std::string last_loss() const;

 private:
  void accept_clients();
  void relay(TcpStream client);
  void hang_up();
  TcpStream open() const;
  void book_loss(const std::string& why);

  const RpcAddress server_;
  const RpcLimits limits_;
  TcpListener listener_;
  std::atomic<std::uint64_t> losses_{0};
  mutable std::mutex mutex_;  // Guards what follows.
  mutable std::condition_variable hung_up_;
  int connections_ = 0;
  bool is_broken_ = false;
  std::string last_loss_;
};

}  // namespace llmlocal
