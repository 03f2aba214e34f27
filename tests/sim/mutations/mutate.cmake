# SPDX-License-Identifier: Apache-2.0
# Applies one mutation to one source file.
#
#	cmake -DMUTATION=NAME.mutation -DFOLDER=lib/session [-DOUT=mutated] -P mutate.cmake
#
# A mutation names its file and the text to replace, which must occur there exactly once. With OUT,
# a mutation that does not apply leaves the file as it is, and is then reported by its test as one
# that survived; without, that is an error.
file(READ ${MUTATION} mutation)
if(NOT mutation MATCHES "file: ([a-z_]+\\.cc?)\n")
  message(FATAL_ERROR "${MUTATION}: names no file")
endif()
file(READ ${FOLDER}/${CMAKE_MATCH_1} code)
set(original "${code}")
set(problem "")

string(FIND "${mutation}" "\nreplace:\n" at)
if(at EQUAL -1)
  set(problem "replaces nothing")
endif()
while(NOT at EQUAL -1 AND NOT problem)
  math(EXPR at "${at} + 10")
  string(SUBSTRING "${mutation}" ${at} -1 mutation)
  string(FIND "${mutation}" "\nby:\n" middle)
  string(FIND "${mutation}" "\nend:" end)
  math(EXPR after "${middle} + 5")
  math(EXPR length "${end} - ${after}")
  string(SUBSTRING "${mutation}" 0 ${middle} old)
  string(SUBSTRING "${mutation}" ${after} ${length} new)
  string(FIND "${code}" "${old}" first)
  string(FIND "${code}" "${old}" last REVERSE)
  if(first EQUAL -1)
    set(problem "the text to replace is not there any more")
  elseif(NOT first EQUAL last)
    set(problem "the text to replace occurs more than once")
  endif()
  string(REPLACE "${old}" "${new}" code "${code}")
  string(FIND "${mutation}" "\nreplace:\n" at)
endwhile()

if(problem AND NOT OUT)
  message(FATAL_ERROR "${MUTATION}: ${problem}")
elseif(problem)
  message(WARNING "${MUTATION}: ${problem}")
  file(WRITE ${OUT} "${original}")
elseif(OUT)
  file(WRITE ${OUT} "${code}")
endif()
