# Every global symbol of the library begins with tdm: nothing it links into can clash.
execute_process(COMMAND sh -c "${NM} -g --defined-only '${LIBRARY}' | awk 'NF == 3 && $3 !~ /^tdm_/ {print $3}' | grep -vE '^(__|_?_(asan|tsan|ubsan|gcov|llvm)|DW.ref)' | sort -u"
                OUTPUT_VARIABLE foreign)
if(NOT foreign STREQUAL "")
  message(FATAL_ERROR "symbols without the tdm_ prefix:\n${foreign}")
endif()
