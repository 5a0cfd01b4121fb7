# The C++ tests of base and engine, by preset. Sourced after env.sh.
#
#   run_cpp_tests PRESET    builds and runs them: default, asan (with UBSan) or tsan

run_cpp_tests() {
  local preset=$1 plain=()
  "${CXX:-c++}" -E -x c++ - <<< '#include <doctest/doctest.h>' > /dev/null 2>&1 \
    || install_debian doctest-dev 'the C++ tests need doctest'
  run_logged "cpp-$preset" "configuring the C++ tests ($preset)" cmake --preset "$preset"
  run_logged "cpp-$preset" "building the C++ tests ($preset)" cmake --build --preset "$preset"
  # Older thread sanitizers can not stand the address randomisation of newer kernels.
  [[ $preset != tsan ]] || ! setarch -R true 2> /dev/null || plain=(setarch -R)
  ${plain[@]+"${plain[@]}"} ctest --preset "$preset"
}
