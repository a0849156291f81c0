# Compiles one public header by itself as C11 and as C++11.
foreach(lang c c++)
  if(lang STREQUAL c)
    set(std c11)
  else()
    set(std c++11)
  endif()
  execute_process(COMMAND sh -c "printf '#include <${HEADER}>\\n#include <${HEADER}>\\n' | ${CC} -x ${lang} -std=${std} -Wall -Wextra -Werror -fsyntax-only -I${INCLUDE} -"
                  RESULT_VARIABLE rc)
  if(NOT rc EQUAL 0)
    message(FATAL_ERROR "${HEADER} does not compile alone as ${std}")
  endif()
endforeach()
