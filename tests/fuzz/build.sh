#!/bin/sh
# build.sh clang output source-root: the fuzzer with the block layer in it.
set -e
packages="glib-2.0 gio-unix-2.0 liburing zlib libzstd"
exec "$1" -g -O1 -std=gnu17 -D_GNU_SOURCE -DG_LOG_DOMAIN='"oriel"' \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	$(pkg-config --cflags $packages) -o "$2" \
	"$3"/tests/fuzz/fuzz_qcow2.c "$3"/vmm/block/*.c "$3"/vmm/block/qcow2/*.c $(pkg-config --libs $packages)
