# plimsoll_report_page(FILE): sets FILE to the study's report page, one HTML file that is bundled from
# web/ at build time; without Node.js or the packages of web/ it is empty, and the report is Markdown
# only. The packages are installed beforehand (npm ci in web/; run-study and run-tests do it): a build
# never goes to the network.
function(plimsoll_report_page file)
  set(web ${PROJECT_SOURCE_DIR}/web)
  set(page ${PROJECT_BINARY_DIR}/web/report.html)
  set(${file} ${page} PARENT_SCOPE)
  find_program(PLIMSOLL_NODE node)
  # Asks again when they are installed or another version is.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${web}/package-lock.json)
  if(NOT PLIMSOLL_NODE OR NOT EXISTS ${web}/node_modules/esbuild OR NOT EXISTS ${web}/node_modules/echarts)
    message(STATUS "No report page: it needs node and the packages of web/ (npm ci). Reports are Markdown only.")
    file(CONFIGURE OUTPUT ${page} CONTENT "")
    return()
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${web}/src/*)
  add_custom_command(OUTPUT ${page}
                     COMMAND ${PLIMSOLL_NODE} ${web}/build.mjs --out ${page}
                     DEPENDS ${sources} ${web}/build.mjs ${web}/package-lock.json
                     COMMENT "Bundling the report page" VERBATIM)
endfunction()
