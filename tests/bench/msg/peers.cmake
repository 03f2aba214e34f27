# SPDX-License-Identifier: Apache-2.0
# The peers of `clustix bench msg` that are made of other libraries, built on request only:
# `./up --bench-peers`, or -DCLUSTIX_BENCH_PEERS=ON and the target bench_peers. Their packages are
# the section `bench` of .ci/packages; a peer whose package is missing is left out with a message.
option(CLUSTIX_BENCH_PEERS "Build the benchmark's peers that are made of other libraries" OFF)
if(NOT CLUSTIX_BENCH_PEERS)
  return()
endif()

# library_peer(NAME SOURCES ... LIBRARIES ...): a bench_peer() that a test runs for a moment.
function(library_peer name)
  cmake_parse_arguments(PEER "" "" "SOURCES;LIBRARIES" ${ARGN})
  bench_peer(${name} SOURCES ${PEER_SOURCES} LIBRARIES clustix_bench_library ${PEER_LIBRARIES})
  add_test(NAME bench.peer.${name}
    COMMAND python3 ${CMAKE_CURRENT_SOURCE_DIR}/peer_test.py $<TARGET_FILE:bench-msg-${name}>)
  set_tests_properties(bench.peer.${name} PROPERTIES LABELS bench TIMEOUT 300)
endfunction()

# without_peer(NAMES PACKAGES): says which packages would bring the peers.
function(without_peer names packages)
  message(STATUS "Benchmark without ${names}: needs the Debian packages ${packages}")
endfunction()

pkg_check_modules(TIRPC IMPORTED_TARGET libtirpc)
if(TIRPC_FOUND)
  add_library(clustix_bench_sunrpc STATIC sunrpc.cc)
  target_link_libraries(clustix_bench_sunrpc
    PUBLIC clustix_bench_library PkgConfig::TIRPC
    PRIVATE clustix_io)
  library_peer(sunrpc SOURCES sunrpc_peer.cc LIBRARIES clustix_bench_sunrpc Threads::Threads)
  library_peer(sunrpc-batched SOURCES sunrpc_batched_peer.cc LIBRARIES clustix_bench_sunrpc)
else()
  without_peer("sunrpc and sunrpc-batched" libtirpc-dev)
endif()

pkg_check_modules(GRPC IMPORTED_TARGET grpc++)
pkg_check_modules(PROTOBUF IMPORTED_TARGET protobuf)
find_program(PROTOC protoc)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin)
if(GRPC_FOUND AND PROTOBUF_FOUND AND PROTOC AND GRPC_CPP_PLUGIN)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/generated/tests/bench/msg)
  set(sources ${generated}/grpc_echo.pb.cc ${generated}/grpc_echo.grpc.pb.cc)
  file(MAKE_DIRECTORY ${generated})
  add_custom_command(OUTPUT ${sources} ${generated}/grpc_echo.pb.h ${generated}/grpc_echo.grpc.pb.h
    COMMAND ${PROTOC} -I${CMAKE_SOURCE_DIR} --cpp_out=${CMAKE_CURRENT_BINARY_DIR}/generated
      --grpc_out=${CMAKE_CURRENT_BINARY_DIR}/generated --plugin=protoc-gen-grpc=${GRPC_CPP_PLUGIN}
      ${CMAKE_CURRENT_SOURCE_DIR}/grpc_echo.proto
    DEPENDS grpc_echo.proto VERBATIM)
  # The compiler's output is not ours to keep free of warnings.
  set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "-w")
  add_library(clustix_bench_grpc STATIC grpc_server.cc ${sources})
  target_include_directories(clustix_bench_grpc SYSTEM PUBLIC ${CMAKE_CURRENT_BINARY_DIR}/generated)
  target_link_libraries(clustix_bench_grpc
    PUBLIC clustix_bench_library PkgConfig::GRPC PkgConfig::PROTOBUF)
  library_peer(grpc SOURCES grpc_peer.cc LIBRARIES clustix_bench_grpc)
  library_peer(grpc-stream SOURCES grpc_stream_peer.cc LIBRARIES clustix_bench_grpc)
else()
  without_peer("grpc and grpc-stream" "libgrpc++-dev and protobuf-compiler-grpc")
endif()

# Of the same package as the build's own schemas: always there.
set(CAPNPC_SRC_PREFIX ${CMAKE_SOURCE_DIR})
set(CAPNPC_OUTPUT_DIR ${CMAKE_CURRENT_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${CAPNPC_OUTPUT_DIR})
capnp_generate_cpp(CAPNP_ECHO_SOURCES CAPNP_ECHO_HEADERS capnp_echo.capnp)
set_source_files_properties(${CAPNP_ECHO_SOURCES} PROPERTIES COMPILE_OPTIONS "-w")
add_library(clustix_bench_capnp STATIC ${CAPNP_ECHO_SOURCES} ${CAPNP_ECHO_HEADERS})
target_include_directories(clustix_bench_capnp SYSTEM PUBLIC ${CAPNPC_OUTPUT_DIR})
target_link_libraries(clustix_bench_capnp PUBLIC CapnProto::capnp-rpc)
library_peer(capnp SOURCES capnp_peer.cc LIBRARIES clustix_bench_capnp)

pkg_check_modules(ZEROMQ IMPORTED_TARGET libzmq)
if(ZEROMQ_FOUND)
  library_peer(zeromq SOURCES zeromq_peer.cc LIBRARIES PkgConfig::ZEROMQ)
else()
  without_peer(zeromq libzmq3-dev)
endif()

find_package(nng CONFIG QUIET)
if(nng_FOUND)
  library_peer(nng SOURCES nng_peer.cc LIBRARIES nng::nng)
else()
  without_peer(nng libnng-dev)
endif()

pkg_check_modules(HIREDIS IMPORTED_TARGET hiredis)
# Debian's redis-tools has the server under the name of the tool that shares its program; the package
# redis-server would add a link to it and start a service.
find_program(REDIS_SERVER NAMES redis-server redis-check-rdb)
if(HIREDIS_FOUND AND REDIS_SERVER)
  library_peer(redis SOURCES redis_peer.cc redis_server.cc LIBRARIES PkgConfig::HIREDIS)
  target_compile_definitions(bench-msg-redis PRIVATE REDIS_SERVER="${REDIS_SERVER}")
else()
  without_peer(redis "libhiredis-dev and redis-tools")
endif()
