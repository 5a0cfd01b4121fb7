// What the decoder is asked for only to spare it work.
#pragma once

namespace llmlocal {

// Whether the decoder could do what is only there to spare it work.  What it throws then is no more
// than a refusal, and the requests that run must not pay for it; a decoder that is beyond use will
// say so in the next step.
template <typename Call>
bool works(Call&& call) {
  try {
    return call();
  } catch (...) {
    return false;
  }
}

}  // namespace llmlocal
