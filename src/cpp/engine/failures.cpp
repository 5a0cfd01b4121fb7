#include "engine/failures.h"

#include <new>
#include <string>

namespace llmlocal {

std::exception_ptr Failures::as_engine_error(const std::exception_ptr& error) const noexcept {
  try {
    try {
      std::rethrow_exception(error);
    } catch (const Error&) {
      return error;
    } catch (const std::bad_alloc&) {
      return out_of_memory_;
    } catch (const std::exception& other) {
      const std::string text = std::string("the engine failed: ") + other.what();
      return std::make_exception_ptr(EngineError(text));
    } catch (...) {
      return std::make_exception_ptr(EngineError("the engine failed for an unknown reason"));
    }
  } catch (...) {
    return out_of_memory_;  // Not even for the text.
  }
}

}  // namespace llmlocal
