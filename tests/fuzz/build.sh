#!/bin/sh
# build.sh clang output source-root: the fuzzer, with the block layer but for what talks to io_uring in it.
set -e
packages="glib-2.0 gio-unix-2.0 zlib libzstd"
sources=$(ls "$3"/tests/fuzz/engine.c "$3"/tests/fuzz/fuzz_qcow2.c "$3"/vmm/block/*.c "$3"/vmm/block/qcow2/*.c |
	grep -v engine_uring.c)
exec "$1" -g -O2 -std=gnu17 -D_GNU_SOURCE -DG_LOG_DOMAIN='"oriel"' \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	$(pkg-config --cflags $packages) -o "$2" $sources $(pkg-config --libs $packages)
