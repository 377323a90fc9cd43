#!/bin/sh
# The distribution's own kernel, unpacked from its bzImage: 32-bit and compressed kernels take too long to start
# where KVM emulates them.
. "$(dirname "$0")/common.sh"

build() {
	apt-get download "$package"
	dpkg-deb --fsys-tarfile ./*.deb | tar x --wildcards './boot/vmlinuz-*'
	unpack boot/vmlinuz-* >product
	readelf --file-header product | grep -q 'Class: *ELF64'
}

# number FILE OFFSET BYTES: an unsigned little-endian number
number() {
	od --address-radix=n --format="u$3" --skip-bytes="$(($2))" --read-bytes="$3" "$1" | tr -d ' '
}

# Documentation/arch/x86/boot.rst: setup_sects, payload_offset and payload_length; the payload ends with its size.
unpack() {
	start=$(((($(number "$1" 0x1f1 1) + 1) * 512) + $(number "$1" 0x248 4)))
	tail --bytes=+$((start + 1)) "$1" | head --bytes="$(number "$1" 0x24c 4)" | xz --decompress --single-stream
}

need apt-get apt
need readelf binutils
need xz xz-utils
package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: //p' | head -n 1)
[ -n "$package" ] || fail "linux-image-amd64 is unknown: apt-get update"
provide stock-vmlinux "$package $(apt-cache policy "$package" | sed -n 's/^ *Candidate: //p')"
