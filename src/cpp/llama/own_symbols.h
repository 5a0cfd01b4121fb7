// That llama.cpp's functions are ours, and not those of another llama.cpp in the process.
#pragma once

namespace llmlocal {

// Throws DeviceError if another library has made symbols of these names global, by RTLD_GLOBAL or
// LD_PRELOAD or because the program itself is linked with llama.cpp: on Linux they take the place
// of ours in what is loaded later, and two releases that mix end in a crash.
void require_own_symbols();

}  // namespace llmlocal
