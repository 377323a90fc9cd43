#!/bin/sh
# build.sh clang output source-root fuzzer: the fuzzer with the block layer but for what talks to io_uring in it, and with
# what else it tries.
set -e
packages="glib-2.0 gio-unix-2.0 zlib libzstd"
output=$(realpath "$2")
fuzzer=$4
cd "$3"
sources=$(ls tests/fuzz/engine.c "tests/fuzz/$fuzzer.c" vmm/block/*.c vmm/block/qcow2/*.c | grep -v engine_uring.c)
if [ "$fuzzer" = fuzz_nvme ]; then
	sources="$sources $(ls vmm/nvme/*.c vmm/pci/*.c) tests/unit/fake_machine.c vmm/storage/identity.c vmm/storage/trim.c"
	for part in bus clock irq log loop memory state vm; do
		sources="$sources vmm/$part.c"
	done
fi
# shellcheck disable=SC2086
exec "$1" -g -O2 -std=gnu17 -D_GNU_SOURCE -DG_LOG_DOMAIN='"oriel"' \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined \
	$(pkg-config --cflags $packages) -o "$output" $sources $(pkg-config --libs $packages)
