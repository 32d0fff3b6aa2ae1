# What `cmake --install` puts where, and the target `package`: a tarball that runs from any folder.
include(CMakePackageConfigHelpers)

# $ORIGIN: an installed tree may be moved. --disable-new-dtags writes DT_RPATH, which also serves the
# libraries that our libraries load; DT_RUNPATH would not, and a package carries them all in lib/.
function(plimsoll_find_libraries_in target folder)
  set_target_properties(${target} PROPERTIES INSTALL_RPATH ${folder})
  target_link_options(${target} PRIVATE -Wl,--disable-new-dtags)
endfunction()

if(TARGET plimsoll_program)
  plimsoll_find_libraries_in(plimsoll_program "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
  install(TARGETS plimsoll_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

if(TARGET plimsoll)
  set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/plimsoll)
  plimsoll_find_libraries_in(plimsoll "$ORIGIN")
  install(TARGETS plimsoll EXPORT plimsollTargets
          LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/plimsoll DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.h")
  install(EXPORT plimsollTargets NAMESPACE plimsoll:: DESTINATION ${config_folder})
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/plimsollConfigVersion.cmake
                                   COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/plimsollConfig.cmake
                ${PROJECT_BINARY_DIR}/plimsollConfigVersion.cmake
          DESTINATION ${config_folder})
endif()
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

add_custom_target(package
  COMMAND ${PROJECT_SOURCE_DIR}/tools/package ${PROJECT_BINARY_DIR} ${PROJECT_VERSION} ${CMAKE_INSTALL_LIBDIR}
  USES_TERMINAL VERBATIM)
foreach(target plimsoll_program plimsoll)
  if(TARGET ${target})
    add_dependencies(package ${target})
  endif()
endforeach()
