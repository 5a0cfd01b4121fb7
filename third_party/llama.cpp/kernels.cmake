# Our own CPU kernels (src/cpp/kernels), compiled into each x86-64 variant of ggml-cpu: with its flags,
# so for its instructions.
#
# ggml-cpu.cpp calls the slot that they fill if it believes that it has KleidiAI, which is Arm's
# library for Arm's CPUs. A ggml that has no such slot, or other internals than the kernels need, is
# built without them.
option(LLMLOCAL_KERNELS "Compile our own CPU kernels into ggml-cpu (x86-64)" ON)

get_filename_component(our_cpp "${CMAKE_CURRENT_LIST_DIR}/../../src/cpp" ABSOLUTE)
file(GLOB kernels CONFIGURE_DEPENDS "${our_cpp}/kernels/*.cpp")
if(MSVC)
  set(avx2 /arch:AVX2)
else()
  set(avx2 -mavx2 -mfma -mf16c)
endif()

set(kernels_missing "")
if(NOT LLMLOCAL_KERNELS)
  set(kernels_missing "LLMLOCAL_KERNELS is off")
elseif(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$" OR CMAKE_OSX_ARCHITECTURES MATCHES "arm")
  set(kernels_missing "they are for x86-64")
elseif(GGML_CPU)
  file(STRINGS "${source}/ggml/src/ggml-cpu/ggml-cpu.cpp" slot
    REGEX "push_back\\(ggml_backend_cpu_kleidiai_buffer_type\\(\\)\\)")
  if(NOT slot)
    set(kernels_missing "this ggml has no slot for them")
  else()
    # All of them, for the least CPU: what a variant needs of ggml is then known to be there.
    set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
    unset(kernels_fit CACHE)  # the source may be another than last time
    try_compile(kernels_fit
      SOURCES ${kernels}
      CMAKE_FLAGS "-DINCLUDE_DIRECTORIES=${our_cpp};${source}/ggml/include;${source}/ggml/src;${source}/ggml/src/ggml-cpu"
      COMPILE_DEFINITIONS ${avx2}
      CXX_STANDARD 17 CXX_STANDARD_REQUIRED ON
      OUTPUT_VARIABLE why)
    unset(CMAKE_TRY_COMPILE_TARGET_TYPE)
    if(NOT kernels_fit)
      file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/kernels.log" "${why}")
      set(kernels_missing "this ggml differs, see ${CMAKE_CURRENT_BINARY_DIR}/kernels.log")
    endif()
  endif()
endif()

if(kernels_missing)
  message(STATUS "Without our own CPU kernels: ${kernels_missing}")
elseif(GGML_CPU)
  foreach(library IN LISTS libraries)
    if(library MATCHES "^ggml-cpu(-|$)")
      target_sources(${library} PRIVATE ${kernels})
      target_include_directories(${library} PRIVATE "${our_cpp}")
      # Of this one file alone: the rest is compiled as it would be without us.
      set_property(
        SOURCE "${source}/ggml/src/ggml-cpu/ggml-cpu.cpp"
        TARGET_DIRECTORY ${library}
        PROPERTY COMPILE_DEFINITIONS GGML_USE_CPU_KLEIDIAI)
    endif()
  endforeach()
  message(STATUS "With our own CPU kernels")
endif()
