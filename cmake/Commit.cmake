# Run at build time: writes TARGET from TEMPLATE with the commit of SOURCE, only when it changes.
execute_process(COMMAND git -C ${SOURCE} rev-parse --short=9 HEAD
                OUTPUT_VARIABLE PLIMSOLL_COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE failed)
if(failed)
  set(PLIMSOLL_COMMIT unknown)
endif()
configure_file(${TEMPLATE} ${TARGET} @ONLY)
