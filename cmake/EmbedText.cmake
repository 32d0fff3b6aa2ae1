# plimsoll_embed_text(TARGET FILE HEADER FUNCTION): builds FILE's bytes into TARGET, behind
# `std::string_view plimsoll::FUNCTION()` declared in HEADER. FILE may itself be built.
#
# As a script (cmake -P) it is the step that turns one into the other: FILE, HEADER, FUNCTION, OUTPUT.
if(CMAKE_SCRIPT_MODE_FILE)
  file(READ ${FILE} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
  # The last zero is not counted: an array must not be empty, and a file may be.
  file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
#include "@HEADER@"

namespace plimsoll {

namespace {

const unsigned char kBytes[] = {
@bytes@
0};

}  // namespace

std::string_view @FUNCTION@() { return {reinterpret_cast<const char*>(kBytes), sizeof kBytes - 1}; }

}  // namespace plimsoll
]] @ONLY)
  return()
endif()

set(PLIMSOLL_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

function(plimsoll_embed_text target file header function)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${function}.cc)
  add_custom_command(OUTPUT ${source}
                     COMMAND ${CMAKE_COMMAND} -DFILE=${file} -DHEADER=${header} -DFUNCTION=${function}
                             -DOUTPUT=${source} -P ${PLIMSOLL_EMBED_SCRIPT}
                     DEPENDS ${file} ${PLIMSOLL_EMBED_SCRIPT}
                     COMMENT "Embedding ${function}" VERBATIM)
  target_sources(${target} PRIVATE ${source})
endfunction()
