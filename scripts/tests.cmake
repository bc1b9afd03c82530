# The tests, one program per folder of tests/, and the benchmarks; included by CMakeLists.txt.
#
# C++ tests run in the root of the checkout and find their data by relative paths (tests/scenario/x.txt).
# A system test is one test_*.py in tests/system or tests/attacks; its first 5 lines may say
#   # ctest: serial           runs alone
#   # ctest: timeout 600      seconds, 300 without
#   # ctest: labels a b       more labels next to that of its folder; `asan` and `tsan` add it to that preset's subset

# workpool_gtest(FOLDER TIMEOUT seconds LINK target...): tests/FOLDER/**.cpp as the program test_FOLDER.
function(workpool_gtest folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "LINK")
  if(NOT folder IN_LIST WORKPOOL_TEST_FOLDERS)
    return()
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  set(name test_${folder})
  add_executable(${name} ${sources})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  workpool_link(${name} PRIVATE workpool_test_support ${arg_LINK} GTest::gtest_main Threads::Threads)
  if(TARGET rapidcheck)
    target_link_libraries(${name} PRIVATE rapidcheck)
  endif()
  if(WORKPOOL_DISCOVER)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120 TEST_PREFIX ${folder}.
                         WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
                         PROPERTIES LABELS ${folder} TIMEOUT ${arg_TIMEOUT})
  else()
    # Not brief: if it hangs, the last test named is the one that hangs.
    add_test(NAME ${folder} COMMAND ${name} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${folder} PROPERTIES LABELS ${folder} TIMEOUT 600)
  endif()
endfunction()

function(workpool_system_test folder file)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  get_filename_component(stem ${file} NAME_WE)
  string(REGEX REPLACE "^test_" "" stem ${stem})
  set(labels ${folder})
  set(timeout 300)
  set(serial FALSE)
  file(STRINGS ${file} head LIMIT_COUNT 5)
  foreach(line IN LISTS head)
    if(line MATCHES "^# ctest: serial *$")
      set(serial TRUE)
    elseif(line MATCHES "^# ctest: timeout ([0-9]+) *$")
      set(timeout ${CMAKE_MATCH_1})
    elseif(line MATCHES "^# ctest: labels (.*[^ ]) *$")
      string(REGEX REPLACE " +" ";" more "${CMAKE_MATCH_1}")
      list(APPEND labels ${more})
    elseif(line MATCHES "^# ctest:")
      message(FATAL_ERROR "${file}: not understood: ${line}")
    endif()
  endforeach()
  if(WORKPOOL_SYSTEM_LABEL AND NOT WORKPOOL_SYSTEM_LABEL IN_LIST labels)
    return()
  endif()
  add_test(NAME ${folder}.${stem} COMMAND /usr/bin/python3 ${file} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${folder}.${stem} PROPERTIES LABELS "${labels}" TIMEOUT ${timeout} RUN_SERIAL ${serial}
    ENVIRONMENT "WORKPOOL_BIN=${PROJECT_BINARY_DIR}/bin;WORKPOOL_SOURCE=${PROJECT_SOURCE_DIR};PYTHONUNBUFFERED=1;PYTHONDONTWRITEBYTECODE=1")
endfunction()

if(WORKPOOL_TESTS)
  find_package(GTest REQUIRED)
  find_package(rapidcheck QUIET)
  include(GoogleTest)

  set(pure workpool_dispatcher_core workpool_worker_core workpool_common)
  set(everything workpool_dispatcher_app workpool_worker_own workpool_worker_app workpool_dispatcher_io workpool_worker_io
      workpool_common_io ${pure})

  # Fixtures and fakes that several folders share; pure, like what they test.
  workpool_library(workpool_test_support SOURCES tests/support/*.cpp LINK ${pure})
  workpool_gtest(unit TIMEOUT 60 LINK ${pure})
  workpool_gtest(scenario TIMEOUT 60 LINK ${pure})
  workpool_gtest(simulation TIMEOUT 900 LINK ${pure})
  workpool_gtest(fuzz TIMEOUT 300 LINK ${pure})
  if(NOT WORKPOOL_PURE_ONLY)
    workpool_gtest(unit_io TIMEOUT 120 LINK ${everything})
    workpool_gtest(integration TIMEOUT 120 LINK ${everything})
    if("system" IN_LIST WORKPOOL_TEST_FOLDERS)
      foreach(folder IN ITEMS system attacks)
        file(GLOB system_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/${folder}/test_*.py)
        foreach(file IN LISTS system_tests)
          workpool_system_test(${folder} ${file})
        endforeach()
      endforeach()
    endif()
  endif()

  # The shape of the source is tested like its behaviour; once is enough, not again in the sanitizer presets.
  if(NOT WORKPOOL_SANITIZE AND NOT WORKPOOL_PURE_ONLY)
    foreach(check IN ITEMS layers limits references)
      add_test(NAME ${check} COMMAND ${PROJECT_SOURCE_DIR}/scripts/${check})
      set_tests_properties(${check} PROPERTIES LABELS style TIMEOUT 60)
    endforeach()
    # The test of the simulator: it has to find what is planted.
    add_test(NAME planted_bugs COMMAND ${PROJECT_SOURCE_DIR}/scripts/planted-bugs)
    set_tests_properties(planted_bugs PROPERTIES LABELS planted TIMEOUT 1800)
  endif()
endif()

# The fuzz targets behind the entry points of clang's own fuzzer; `scripts/fuzz TARGET` builds and runs them.
if(WORKPOOL_FUZZER)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/fuzz/*.cpp)
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  add_executable(fuzzer ${sources})
  target_include_directories(fuzzer PRIVATE ${PROJECT_SOURCE_DIR})
  target_link_options(fuzzer PRIVATE -fsanitize=fuzzer)
  workpool_link(fuzzer PRIVATE workpool_dispatcher_core workpool_worker_core workpool_common)
endif()

# Each tests/bench/NAME.cpp is a program bench_NAME of its own; `scripts/build release bench` builds them. If tests
# are built, these belong to `all`, so that they always compile.
if(WORKPOOL_BENCH AND NOT WORKPOOL_PURE_ONLY)
  add_custom_target(bench)
  file(GLOB benchmarks CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/bench/*.cpp)
  foreach(file IN LISTS benchmarks)
    get_filename_component(stem ${file} NAME_WE)
    add_executable(bench_${stem} ${file})
    set_target_properties(bench_${stem} PROPERTIES EXCLUDE_FROM_ALL $<NOT:$<BOOL:${WORKPOOL_TESTS}>>)
    target_include_directories(bench_${stem} PRIVATE ${PROJECT_SOURCE_DIR})
    workpool_link(bench_${stem} PRIVATE workpool_dispatcher_io workpool_worker_io workpool_dispatcher_core
                  workpool_worker_core workpool_common_io workpool_common ${workpool_zmq} Threads::Threads)
    add_dependencies(bench bench_${stem})
  endforeach()
endif()
