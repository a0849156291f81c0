# Writes OUT: a C file with the text of every kernel file in FILES (names relative to ROOT).
# Text travels as byte arrays, so no compiler's limit on string length applies.
set(code "/* generated from cl/ */\n#include <stddef.h>\n#include \"cl/embedded.h\"\n")
set(table "")
set(count 0)
foreach(name IN LISTS FILES)
  file(READ ${ROOT}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(REGEX REPLACE "(0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,0x..,)"
                       "\\1\n" bytes "${bytes}")
  string(APPEND code "static const char text_${count}[] = {\n${bytes}0x00};\n")
  string(APPEND table "    {\"${name}\", text_${count}, sizeof text_${count} - 1},\n")
  math(EXPR count "${count} + 1")
endforeach()
string(APPEND code "const tdm__embedded tdm__embedded_files[] = {\n${table}    {NULL, NULL, 0}};\n")
file(WRITE ${OUT} "${code}")
