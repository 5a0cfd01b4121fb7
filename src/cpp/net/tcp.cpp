#include "net/tcp.h"

#ifdef _WIN32
#include <winsock2.h>
// After winsock2.h, which it needs.
#include <ws2tcpip.h>
#else
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

namespace llmlocal {
namespace {

#ifdef _WIN32
constexpr int kInterrupted = WSAEINTR;
constexpr int kWouldBlock = WSAEWOULDBLOCK;
constexpr int kInProgress = WSAEWOULDBLOCK;
constexpr int kSendFlags = 0;
int last_error() {
  return WSAGetLastError();
}
void close_handle(Socket::Handle handle) {
  closesocket(handle);
}
int poll_one(WSAPOLLFD& entry, int milliseconds) {
  return WSAPoll(&entry, 1, milliseconds);
}
using PollEntry = WSAPOLLFD;
void start_network() {
  static const int started = [] {
    WSADATA data;
    return WSAStartup(MAKEWORD(2, 2), &data);
  }();
  if (started != 0) throw TcpError("the network can't be used");
}
void make_non_blocking(Socket::Handle handle) {
  u_long yes = 1;
  ioctlsocket(handle, FIONBIO, &yes);
}
#else
constexpr int kInterrupted = EINTR;
constexpr int kWouldBlock = EWOULDBLOCK;
constexpr int kInProgress = EINPROGRESS;
#ifdef MSG_NOSIGNAL
constexpr int kSendFlags = MSG_NOSIGNAL;  // A closed peer is an error, not a SIGPIPE.
#else
constexpr int kSendFlags = 0;
#endif
int last_error() {
  return errno;
}
void close_handle(Socket::Handle handle) {
  close(handle);
}
using PollEntry = pollfd;
int poll_one(PollEntry& entry, int milliseconds) {
  return poll(&entry, 1, milliseconds);
}
void start_network() {}
void make_non_blocking(Socket::Handle handle) {
  fcntl(handle, F_SETFL, fcntl(handle, F_GETFL) | O_NONBLOCK);
  // A child that runs another program must not keep the connection open.
  fcntl(handle, F_SETFD, FD_CLOEXEC);
}
#endif

std::string reason(int error) {
  std::string text = std::system_category().message(error);
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

std::string seconds(TimeLimit limit) {
  const auto tenths = limit.count() / 100;
  return std::to_string(tenths / 10) + (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) +
         " s";
}

void wait_for(Socket::Handle handle, short events, TimeLimit limit) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point end = Clock::now() + limit;
  for (;;) {
    int wait = -1;
    if (limit != kNoLimit) {
      const auto left = std::chrono::ceil<TimeLimit>(end - Clock::now()).count();
      wait = static_cast<int>(std::clamp<TimeLimit::rep>(left, 0, 3'600'000));
    }
    PollEntry entry{};
    entry.fd = handle;
    entry.events = events;
    const int ready = poll_one(entry, wait);
    if (ready > 0) return;
    if (ready == 0) throw TcpError("no answer within " + seconds(limit));
    if (last_error() != kInterrupted) throw TcpError(reason(last_error()));
  }
}

void set_option(Socket::Handle handle, int level, int name) {
  const int yes = 1;
  setsockopt(handle, level, name, reinterpret_cast<const char*>(&yes), sizeof(yes));  // NOLINT
}

// How a connection attempt ended; 0 = it stands.
int connection_error(Socket::Handle handle) {
  int error = 0;
  socklen_t size = sizeof(error);
  getsockopt(handle, SOL_SOCKET, SO_ERROR, reinterpret_cast<char*>(&error), &size);  // NOLINT
  return error;
}

Socket connected(const addrinfo& address, TimeLimit limit) {
  Socket socket(static_cast<Socket::Handle>(
      ::socket(address.ai_family, address.ai_socktype, address.ai_protocol)));
  if (!socket) throw TcpError(reason(last_error()));
  make_non_blocking(socket.get());
  const auto length = static_cast<socklen_t>(address.ai_addrlen);
  if (::connect(socket.get(), address.ai_addr, length) != 0) {
    if (last_error() != kInProgress) throw TcpError(reason(last_error()));
    wait_for(socket.get(), POLLOUT, limit);
    if (const int error = connection_error(socket.get())) throw TcpError(reason(error));
  }
  return socket;
}

}  // namespace

Socket::~Socket() {
  if (*this) close_handle(handle_);
}
Socket::Socket(Socket&& other) noexcept : handle_(std::exchange(other.handle_, kNone)) {}
Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

TcpStream::TcpStream(Socket socket) : socket_(std::move(socket)) {
  make_non_blocking(socket_.get());
  set_option(socket_.get(), IPPROTO_TCP, TCP_NODELAY);
#ifdef SO_NOSIGPIPE
  set_option(socket_.get(), SOL_SOCKET, SO_NOSIGPIPE);
#endif
}

TcpStream TcpStream::connect(const std::string& host, std::uint16_t port, TimeLimit limit) {
  start_network();
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (failed != 0) throw TcpError("there is no host " + host);
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> addresses(found, freeaddrinfo);
  std::string why = "it has no address";
  for (const addrinfo* each = addresses.get(); each != nullptr; each = each->ai_next) {
    try {
      return TcpStream(connected(*each, limit));
    } catch (const TcpError& error) {
      why = error.what();
    }
  }
  throw TcpError(why);
}

void TcpStream::send(const void* data, std::size_t size, TimeLimit stall) {
  const char* next = static_cast<const char*>(data);
  while (size > 0) {
    const int most = static_cast<int>(std::min<std::size_t>(size, 1 << 30));
    const auto sent = ::send(socket_.get(), next, static_cast<std::size_t>(most), kSendFlags);
    if (sent > 0) {
      next += sent;
      size -= static_cast<std::size_t>(sent);
    } else if (last_error() == kWouldBlock) {
      wait_for(socket_.get(), POLLOUT, stall);
    } else if (last_error() != kInterrupted) {
      throw TcpError(reason(last_error()));
    }
  }
}

void TcpStream::receive(void* data, std::size_t size, TimeLimit stall) {
  char* next = static_cast<char*>(data);
  while (size > 0) {
    const int most = static_cast<int>(std::min<std::size_t>(size, 1 << 30));
    const auto got = ::recv(socket_.get(), next, static_cast<std::size_t>(most), 0);
    if (got > 0) {
      next += got;
      size -= static_cast<std::size_t>(got);
    } else if (got == 0) {
      throw TcpError("the connection was closed");
    } else if (last_error() == kWouldBlock) {
      wait_for(socket_.get(), POLLIN, stall);
    } else if (last_error() != kInterrupted) {
      throw TcpError(reason(last_error()));
    }
  }
}

TcpListener::TcpListener() {
  start_network();
  socket_ = Socket(static_cast<Socket::Handle>(::socket(AF_INET, SOCK_STREAM, 0)));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* generic = reinterpret_cast<sockaddr*>(&address);  // NOLINT(*-reinterpret-cast)
  socklen_t size = sizeof(address);
  if (!socket_ || ::bind(socket_.get(), generic, size) != 0 || ::listen(socket_.get(), 8) != 0 ||
      getsockname(socket_.get(), generic, &size) != 0) {
    throw TcpError(reason(last_error()));
  }
  make_non_blocking(socket_.get());
  port_ = ntohs(address.sin_port);
}

TcpStream TcpListener::accept() {
  for (;;) {
    wait_for(socket_.get(), POLLIN, kNoLimit);
    Socket client(static_cast<Socket::Handle>(::accept(socket_.get(), nullptr, nullptr)));
    if (client) return TcpStream(std::move(client));
    // A client that gave up meanwhile is no failure of ours; no descriptor left is.
    if (last_error() != kWouldBlock && last_error() != kInterrupted) {
#ifndef _WIN32
      if (last_error() == ECONNABORTED) continue;
#endif
      throw TcpError(reason(last_error()));
    }
  }
}

}  // namespace llmlocal
