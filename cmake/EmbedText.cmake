# plimsoll_embed_text(TARGET FILE HEADER FUNCTION): builds FILE's bytes into TARGET, behind
# `std::string_view plimsoll::FUNCTION()` declared in HEADER.
function(plimsoll_embed_text target file header function)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
  string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${function}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT [[
#include "@header@"

namespace plimsoll {

namespace {

const unsigned char kBytes[] = {
@bytes@
};

}  // namespace

std::string_view @function@() { return {reinterpret_cast<const char*>(kBytes), sizeof kBytes}; }

}  // namespace plimsoll
]] @ONLY)
  target_sources(${target} PRIVATE ${source})
endfunction()
