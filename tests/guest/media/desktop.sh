#!/bin/sh
# A small Debian desktop as an ext4 image: Xorg on the kernel's display driver, the window manager twm and xterm,
# started by a shell script instead of systemd. Everything that would be computed at the first start is computed
# here, and what nothing uses is left out: on hosts that emulate ring 0 every page fault and exec counts.
. "$(dirname "$0")/common.sh"

build() {
	fetch_packages
	drop_unused
	install_configuration
	ldconfig -r root
	mkdir -p root/proc root/sys root/dev root/run root/tmp root/root root/mnt
	truncate -s 192M product
	mke2fs -q -t ext4 -O ^has_journal -L desktop -d root product
}

# Unpacked only: no package's script runs, and neither dpkg nor apt goes in.
fetch_packages() {
	mmdebstrap --variant=extract --mode="$(mode)" --aptopt='APT::Install-Recommends "false"' \
		--include=busybox-static,xserver-xorg-core,xserver-xorg-input-evdev,x11-xkb-utils,xterm,twm \
		--include=fonts-dejavu-core bookworm root
}

mode() {
	if [ "$(id -u)" -eq 0 ]; then echo root; else echo unshare; fi
}

# Mesa is a dependency of the X server, which does not need it without acceleration.
drop_unused() {
	lib=root/usr/lib/x86_64-linux-gnu
	rm -rf root/var/lib/apt root/var/cache root/usr/share/doc root/usr/share/man root/usr/share/locale \
		root/usr/share/info root/usr/share/bug root/usr/share/perl* root/usr/share/icons \
		root/lib/udev root/lib/systemd "$lib"/dri "$lib"/perl* "$lib"/gconv "$lib"/libLLVM* "$lib"/libicu* \
		"$lib"/libz3* "$lib"/libgallium* root/usr/lib/xorg/modules/extensions/libglx.so
	find root/bin root/usr/bin root/usr/sbin root/sbin -type f ! -name 'X*' ! -name busybox ! -name xkbcomp \
		! -name twm ! -name xterm ! -name dash -delete
}

install_configuration() {
	for applet in ln sh mount mkdir mkfifo sleep cat ls poweroff reboot sha256sum setsid; do
		ln -sf busybox root/bin/$applet
	done
	cp "$media/desktop-init" root/init
	chmod 755 root/init
	mkdir -p root/etc/X11 root/root
	cp "$media/xorg.conf" root/etc/X11/
	cp "$media/twmrc" root/root/.twmrc
	echo 'root:x:0:0:root:/root:/bin/sh' >root/etc/passwd
	echo 'root:x:0:' >root/etc/group
}

need mmdebstrap mmdebstrap
need mke2fs e2fsprogs
versions=$(version mmdebstrap)
provide desktop "$versions" "$media/desktop-init" "$media/xorg.conf" "$media/twmrc"
