# plimsoll_room(NAME [PUBLIC lib...] [PRIVATE lib...] [PRECOMPILED header...])
#
# Headers of other people that many files include are precompiled, once for all rooms and once for all
# tests; each file still names what it includes. PRECOMPILED are a room's own instead, where its files
# include more of them or are optimised otherwise.
#
# One src/ folder is one room: a static library plimsoll_NAME of every .cc below it. A file's suffix
# says what it is:
#   x_test.cc       a GoogleTest case, linked into NAME_test and run by ctest
#   x_bench.cc      a Google Benchmark, linked into NAME_bench
#   x_avx2.cc  x_avx512.cc  x_avx512_bf16.cc
#                   a kernel variant, compiled for that instruction set and reached only through
#                   run-time dispatch. Such a file includes no standard container and no inline code
#                   that another file shares: the linker could keep its copy for every CPU.
#   x_cuda.cu  x_cuda.cc
#                   code for a GPU and what needs CUDA's headers: left out where there is no toolkit
#   x_cuda_test.cc  x_cuda_bench.cc
#                   linked into NAME_cuda_test and NAME_cuda_bench (with its own main, which prints a
#                   table), which start without a GPU and then skip what they cannot run
set(PLIMSOLL_AVX2_FLAGS -mavx2 -mfma -mf16c)
set(PLIMSOLL_AVX512_FLAGS ${PLIMSOLL_AVX2_FLAGS} -mavx512f -mavx512bw -mavx512vl -mavx512dq
                          -mavx512vnni -mprefer-vector-width=512)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # gcc 12's own AVX-512 headers trip over these (PR 105593).
  list(APPEND PLIMSOLL_AVX512_FLAGS -Wno-uninitialized -Wno-maybe-uninitialized)
endif()
set(PLIMSOLL_AVX512_BF16_FLAGS ${PLIMSOLL_AVX512_FLAGS} -mavx512bf16 -mavx512vbmi)

# Tests and commands compute nothing for long themselves: optimising them would only make builds slow.
if(PLIMSOLL_SANITIZE)
  set(PLIMSOLL_QUICK_BUILD -O0)
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(PLIMSOLL_QUICK_BUILD -O1)
endif()

set(PLIMSOLL_PRECOMPILED <algorithm> <filesystem> <functional> <map> <memory> <optional> <span> <string> <vector>
                         <fmt/format.h>)

# plimsoll_precompile(TARGET OWNER HEADER...): OWNER's precompiled headers serve TARGET too, which is
# built with the same options; the OWNER itself is what makes them.
function(plimsoll_precompile target owner)
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

function(plimsoll_room name)
  cmake_parse_arguments(ROOM "" "" "PUBLIC;PRIVATE;PRECOMPILED" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  set(cuda_sources ${sources})
  list(FILTER sources EXCLUDE REGEX "_cuda(_test|_bench)?\\.cc$")
  list(FILTER cuda_sources INCLUDE REGEX "_cuda(_test|_bench)?\\.cc$")
  set(tests ${sources})
  set(benches ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cc$")

  foreach(source IN LISTS sources)
    if(source MATCHES "_avx2\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${PLIMSOLL_AVX2_FLAGS}"
                                                        SKIP_PRECOMPILE_HEADERS ON)
    elseif(source MATCHES "_avx512\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${PLIMSOLL_AVX512_FLAGS}"
                                                        SKIP_PRECOMPILE_HEADERS ON)
    elseif(source MATCHES "_avx512_bf16\\.cc$")
      set_source_files_properties(${source} PROPERTIES COMPILE_OPTIONS "${PLIMSOLL_AVX512_BF16_FLAGS}"
                                                        SKIP_PRECOMPILE_HEADERS ON)
    endif()
  endforeach()

  add_library(plimsoll_${name} STATIC ${sources})
  target_include_directories(plimsoll_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(plimsoll_${name} PUBLIC ${ROOM_PUBLIC} PRIVATE ${ROOM_PRIVATE} plimsoll_warnings)
  if(ROOM_PRECOMPILED)
    target_precompile_headers(plimsoll_${name} PRIVATE ${ROOM_PRECOMPILED})
  else()
    plimsoll_precompile(plimsoll_${name} plimsoll_core ${PLIMSOLL_PRECOMPILED})
  endif()

  if(PLIMSOLL_HAS_CUDA)
    plimsoll_room_cuda(${name} ${cuda_sources})
  endif()
  if(tests AND PLIMSOLL_TESTS)
    add_executable(${name}_test ${tests})
    target_compile_options(${name}_test PRIVATE ${PLIMSOLL_QUICK_BUILD})
    target_link_libraries(${name}_test PRIVATE plimsoll_${name} ${ROOM_PRIVATE} plimsoll_test_support plimsoll_warnings)
    plimsoll_precompile(${name}_test core_test ${PLIMSOLL_PRECOMPILED} <gtest/gtest.h>)
    gtest_discover_tests(${name}_test PROPERTIES LABELS ${name} DISCOVERY_TIMEOUT 60)
  endif()
  if(benches AND PLIMSOLL_BENCHMARKS)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE plimsoll_${name} plimsoll_warnings benchmark::benchmark_main)
    set_property(GLOBAL APPEND PROPERTY PLIMSOLL_BENCH_TARGETS ${name}_bench)
  endif()
endfunction()

# What a room has for GPUs: `sources` are its _cuda.cc, _cuda_test.cc and _cuda_bench.cc.
function(plimsoll_room_cuda name)
  file(GLOB_RECURSE kernels CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_cuda.cu)
  set(sources ${ARGN})
  set(tests ${ARGN})
  set(benches ${ARGN})
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  if(NOT ARGN AND NOT kernels)
    return()
  endif()
  # The toolkit's headers for these files alone: no other file's command line depends on CUDA.
  set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS "-isystem;${CUDAToolkit_INCLUDE_DIRS}"
                                                SKIP_PRECOMPILE_HEADERS ON)
  target_sources(plimsoll_${name} PRIVATE ${sources} ${kernels})
  target_link_libraries(plimsoll_${name} PUBLIC $<LINK_ONLY:CUDA::cudart_static>)

  if(tests AND PLIMSOLL_TESTS)
    add_executable(${name}_cuda_test ${tests})
    target_compile_options(${name}_cuda_test PRIVATE ${PLIMSOLL_QUICK_BUILD})
    target_link_libraries(${name}_cuda_test PRIVATE plimsoll_${name} plimsoll_test_support plimsoll_warnings)
    gtest_discover_tests(${name}_cuda_test PROPERTIES LABELS "${name};cuda" DISCOVERY_TIMEOUT 60)
  endif()
  if(benches AND PLIMSOLL_BENCHMARKS)
    add_executable(${name}_cuda_bench ${benches})
    target_link_libraries(${name}_cuda_bench PRIVATE plimsoll_${name} plimsoll_warnings)
  endif()
endfunction()
