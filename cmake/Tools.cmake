# Targets for whoever works on the code: format, tidy, bench.
add_custom_target(format COMMAND ${PROJECT_SOURCE_DIR}/tools/check_format --fix
                  COMMENT "clang-format on every C++ file" USES_TERMINAL VERBATIM)
add_custom_target(tidy COMMAND ${PROJECT_SOURCE_DIR}/tools/tidy_changed
                  COMMENT "clang-tidy on what changed" USES_TERMINAL VERBATIM)

get_property(bench_targets GLOBAL PROPERTY PLIMSOLL_BENCH_TARGETS)
if(bench_targets)
  set(bench_commands "")
  foreach(target IN LISTS bench_targets)
    list(APPEND bench_commands COMMAND ${target})
  endforeach()
  add_custom_target(bench ${bench_commands} USES_TERMINAL VERBATIM)
  add_dependencies(bench ${bench_targets})
else()
  add_custom_target(bench
    COMMAND ${CMAKE_COMMAND} -E echo "no benchmarks in this build: configure with -DPLIMSOLL_BENCHMARKS=ON"
    COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
endif()
