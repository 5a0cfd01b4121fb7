#include "net/rpc_relay.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "net/rpc_protocol.h"

namespace llmlocal {
namespace {

using rpc::Command;

constexpr std::size_t kChunk = std::size_t{256} * 1024;

// The connection from ggml, and the one to the server for as long as that is of use.
class Link {
 public:
  // `on_loss` is called before ggml gets the first stand-in answer.
  Link(TcpStream client, TimeLimit stall, std::function<void(const std::string&)> on_loss)
      : client_(std::move(client)), stall_(stall), on_loss_(std::move(on_loss)) {}

  void attach(TcpStream server) { server_ = std::move(server); }

  // Takes one request and sees to its reply.  Throws TcpError when ggml has hung up.
  void pass_one() {
    rpc::RequestHead head;
    client_.receive(&head, sizeof(head), kNoLimit);
    const auto command = static_cast<Command>(head.command);
    if (command == Command::kHello) {
      pass_payload(head.size, /*to_server=*/false);
      answer_hello();
      return;
    }
    ask_server([&](TcpStream& server) { server.send(&head, sizeof(head), stall_); });
    const std::uint64_t tail = pass_payload(head.size, /*to_server=*/true);
    if (const auto size = rpc::reply_size(command, tail)) pass_reply(command, *size);
  }

 private:
  // False: there is no server, or it was lost just now.
  template <typename Action>
  bool ask_server(Action&& action) {
    if (!server_) return false;
    try {
      action(*server_);
      return true;
    } catch (const TcpError& error) {
      server_.reset();
      on_loss_(error.what());
      return false;
    }
  }

  // Returns the last 8 bytes as a number.
  std::uint64_t pass_payload(std::uint64_t size, bool to_server) {
    std::array<std::uint8_t, 8> tail{};
    while (size > 0) {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size, kChunk));
      client_.receive(buffer_.data(), part, kNoLimit);
      if (to_server) {
        ask_server([&](TcpStream& server) { server.send(buffer_.data(), part, stall_); });
      }
      const std::size_t fresh = std::min(part, tail.size());
      std::memmove(tail.data(), tail.data() + fresh, tail.size() - fresh);
      std::memcpy(tail.data() + tail.size() - fresh,
                  buffer_.data() + static_cast<std::ptrdiff_t>(part - fresh),
                  fresh);
      size -= part;
    }
    std::uint64_t number = 0;
    std::memcpy(&number, tail.data(), sizeof(number));
    return number;
  }

  void pass_reply(Command command, std::uint64_t size) {
    ask_server([&](TcpStream& server) {
      std::uint64_t actual = 0;
      server.receive(&actual, sizeof(actual), stall_);
      if (actual != size) throw TcpError("it gave an answer that makes no sense");
    });
    std::uint64_t passed = 0;
    do {
      const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(size - passed, kChunk));
      const bool is_genuine =
          ask_server([&](TcpStream& server) { server.receive(buffer_.data(), part, stall_); });
      if (!is_genuine) fill_in(command, passed, part);
      if (passed == 0) client_.send(&size, sizeof(size), kNoLimit);
      client_.send(buffer_.data(), part, kNoLimit);
      passed += part;
    } while (passed < size);
  }

  void fill_in(Command command, std::uint64_t passed, std::size_t part) {
    std::fill_n(buffer_.begin(), part, std::uint8_t{0});
    if (passed > 0) return;
    const auto reply = rpc::stand_in_reply(command);
    std::copy_n(reply.begin(), std::min(part, reply.size()), buffer_.begin());
  }

  // The relay has greeted the server already, and checked what it is.
  void answer_hello() {
    rpc::Hello hello;
    hello.major = rpc::kMajor;
    hello.minor = rpc::kMinor;
    hello.patch = rpc::kPatch;
    const std::uint64_t size = sizeof(hello);
    client_.send(&size, sizeof(size), kNoLimit);
    client_.send(&hello, sizeof(hello), kNoLimit);
  }

  TcpStream client_;
  std::optional<TcpStream> server_;
  TimeLimit stall_;
  std::function<void(const std::string&)> on_loss_;
  std::vector<std::uint8_t> buffer_ = std::vector<std::uint8_t>(kChunk);
};

void send_request(TcpStream& server, Command command, const void* data, std::size_t size) {
  const rpc::RequestHead head{static_cast<std::uint8_t>(command), size};
  server.send(&head, sizeof(head), RpcLimits{}.connect);
  server.send(data, size, RpcLimits{}.connect);
}

template <typename Reply>
Reply receive_reply(TcpStream& server, TimeLimit limit) {
  std::uint64_t size = 0;
  Reply reply{};
  server.receive(&size, sizeof(size), limit);
  if (size != sizeof(reply)) throw TcpError("it answers, but it is no RPC server of ggml's");
  server.receive(&reply, sizeof(reply), limit);
  return reply;
}

// Throws TcpError if the server speaks another version of the protocol, or nothing like it.
void greet(TcpStream& server, TimeLimit limit) {
  const std::array<std::uint8_t, rpc::kHelloRequestSize> plain_tcp{};
  send_request(server, Command::kHello, plain_tcp.data(), plain_tcp.size());
  rpc::Hello hello;
  try {
    hello = receive_reply<rpc::Hello>(server, limit);
  } catch (const TcpError& error) {
    throw TcpError(std::string(error.what()) +
                   " (is it an RPC server, and free? it serves one client at a time)");
  }
  if (hello.major != rpc::kMajor || hello.minor > rpc::kMinor) {
    throw TcpError("it speaks version " + std::to_string(hello.major) + "." +
                   std::to_string(hello.minor) + " of the protocol, which must be " +
                   std::to_string(rpc::kMajor) + "." + std::to_string(rpc::kMinor) +
                   ": run the rpc-server of the same llmlocal there");
  }
}

}  // namespace

std::string RpcAddress::text() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

RpcRelay::RpcRelay(RpcAddress server, const RpcLimits& limits)
    : server_(std::move(server)), limits_(limits) {
  std::thread(&RpcRelay::accept_clients, this).detach();
}

std::string RpcRelay::endpoint() const {
  return "127.0.0.1:" + std::to_string(listener_.port());
}

TcpStream RpcRelay::open() const {
  TcpStream server = TcpStream::connect(server_.host, server_.port, limits_.connect);
  greet(server, limits_.connect);
  return server;
}

std::uint32_t RpcRelay::count_devices() const {
  TcpStream server = open();
  send_request(server, Command::kDeviceCount, nullptr, 0);
  return receive_reply<std::uint32_t>(server, limits_.connect);
}

std::string RpcRelay::last_loss() const {
  const std::lock_guard lock(mutex_);
  return last_loss_;
}

bool RpcRelay::is_connected() const {
  const std::lock_guard lock(mutex_);
  return connections_ > 0;
}

bool RpcRelay::is_broken() const {
  constexpr auto kMoment = std::chrono::seconds(1);
  std::unique_lock lock(mutex_);
  return is_broken_ && !hung_up_.wait_for(lock, kMoment, [this] { return connections_ == 0; });
}

void RpcRelay::book_loss(const std::string& why) {
  const std::lock_guard lock(mutex_);
  last_loss_ = why;
  is_broken_ = true;
  ++losses_;
}

void RpcRelay::accept_clients() {
  for (;;) {
    try {
      TcpStream client = listener_.accept();
      // ggml has one connection at a time, and a server serves one.
      {
        const std::lock_guard lock(mutex_);
        ++connections_;
        is_broken_ = false;
      }
      try {
        std::thread(&RpcRelay::relay, this, std::move(client)).detach();
      } catch (const std::exception&) {
        hang_up();
        throw;
      }
    } catch (const std::exception& error) {
      book_loss(error.what());
      std::this_thread::sleep_for(limits_.connect);
    }
  }
}

void RpcRelay::relay(TcpStream client) {
  try {
    Link link(std::move(client), limits_.stall, [this](const std::string& why) { book_loss(why); });
    try {
      link.attach(open());
    } catch (const TcpError& error) {
      book_loss(error.what());
    }
    for (;;) link.pass_one();
  } catch (const TcpError&) {  // NOLINT(bugprone-empty-catch)
    // ggml hangs up when the last model on this server is closed.
  } catch (const std::exception& error) {
    book_loss(error.what());
  }
  hang_up();
}

void RpcRelay::hang_up() {
  {
    const std::lock_guard lock(mutex_);
    --connections_;
  }
  hung_up_.notify_all();
}

}  // namespace llmlocal
