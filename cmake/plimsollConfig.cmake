# find_package(plimsoll) gives the target plimsoll::plimsoll. The library brings its own dependencies.
include(${CMAKE_CURRENT_LIST_DIR}/plimsollTargets.cmake)
