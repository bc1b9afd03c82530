# libworkpool-worker.so, and what finds it once it is installed; included by CMakeLists.txt.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# A program finds the version in the headers, so it stands there as well.
file(STRINGS include/workpool/version.h version_lines REGEX "kVersion(Major|Minor|Patch) =")
string(REGEX MATCHALL "[0-9]+" version_numbers "${version_lines}")
list(JOIN version_numbers . header_version)
if(NOT header_version STREQUAL PROJECT_VERSION)
  message(FATAL_ERROR "include/workpool/version.h says ${header_version}, project() says ${PROJECT_VERSION}")
endif()
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS include/workpool/version.h)

file(GLOB sources CONFIGURE_DEPENDS worker/library/*.cpp)
file(GLOB headers CONFIGURE_DEPENDS include/workpool/*.h)
set(exports ${PROJECT_SOURCE_DIR}/worker/library/exports.map)
add_library(workpool_worker_library SHARED ${sources})
add_library(workpool::worker ALIAS workpool_worker_library)
target_sources(workpool_worker_library PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${headers})
target_include_directories(workpool_worker_library PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_features(workpool_worker_library PUBLIC cxx_std_20)
target_compile_definitions(workpool_worker_library PRIVATE MSGPACK_NO_BOOST)
set_target_properties(workpool_worker_library PROPERTIES
  OUTPUT_NAME workpool-worker EXPORT_NAME worker VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  CXX_VISIBILITY_PRESET hidden LINK_DEPENDS ${exports} LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib)
target_link_options(workpool_worker_library PRIVATE LINKER:--version-script=${exports} LINKER:-z,defs)

# The archives by their files, not as targets: these would bring libzmq.a and libsodium.a, whose code cannot be
# moved, so a shared library takes the shared ones. They differ in nothing that a worker uses: what
# libzmq_accept.cpp mends is in listeners.
foreach(archive IN ITEMS worker_app worker_io worker_core common_io common)
  target_link_libraries(workpool_worker_library PRIVATE $<TARGET_FILE:workpool_${archive}>)
  add_dependencies(workpool_worker_library workpool_${archive})
endforeach()
target_link_libraries(workpool_worker_library PRIVATE cppzmq PkgConfig::sodium simdjson::simdjson PkgConfig::isal
                      PkgConfig::xxhash Threads::Threads)

install(TARGETS workpool_worker_library EXPORT workpool FILE_SET HEADERS)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/workpool)
install(EXPORT workpool NAMESPACE workpool:: FILE workpool-targets.cmake DESTINATION ${package})
file(WRITE ${PROJECT_BINARY_DIR}/workpool-config.cmake
     "include(\${CMAKE_CURRENT_LIST_DIR}/workpool-targets.cmake)\n")
# Until 1.0 a change of the minor number may break what uses it.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/workpool-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/workpool-config.cmake ${PROJECT_BINARY_DIR}/workpool-config-version.cmake
        DESTINATION ${package})

# Relative to its own place, so that an installed tree can be moved.
file(RELATIVE_PATH prefix_from_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
file(WRITE ${PROJECT_BINARY_DIR}/workpool-worker.pc
"prefix=\${pcfiledir}/${prefix_from_pkgconfig}
libdir=\${prefix}/${CMAKE_INSTALL_LIBDIR}
includedir=\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}

Name: workpool-worker
Description: a worker of workpool with handlers of your own (C++20)
Version: ${PROJECT_VERSION}
Cflags: -I\${includedir}
Libs: -L\${libdir} -lworkpool-worker
")
install(FILES ${PROJECT_BINARY_DIR}/workpool-worker.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
