#!/bin/sh
# initramfs: the test agent as first process, and busybox for the commands that it is told to run.
. "$(dirname "$0")/common.sh"

build() {
	mkdir -p root/bin root/dev
	gcc -std=gnu17 -D_GNU_SOURCE -O2 -Wall -Wextra -Werror -static -s -o root/init "$media/agent.c"
	cp /bin/busybox root/bin/
	cp "$media/lease" root/bin/
	for applet in sh cat ls dd sha256sum mount umount eject grep ifconfig nc readlink route sleep tftp udhcpc wget; do
		ln -s busybox root/bin/$applet
	done
	# The programs of tools.iso look there.
	mkdir -p root/usr/share
	ln -s /mnt/alsa root/usr/share/alsa
	# Uncompressed: decompression is slow where ring 0 is emulated. The kernel opens /dev/console itself.
	mknod -m 600 root/dev/console c 5 1 2>/dev/null || echo "without /dev/console"
	(cd root && find . | LC_ALL=C sort | cpio --create --format=newc --owner=0:0 --reproducible) >product
}

need cpio cpio
need gcc gcc
need /bin/busybox busybox-static
need /usr/lib/x86_64-linux-gnu/libc.a libc6-dev
versions=$(version busybox-static gcc libc6-dev)
provide initramfs "$versions" "$media/agent.c" "$media/lease"
