#!/bin/sh
# vmlinux: the distribution's Linux, uniprocessor and without modules, with the drivers that the tests need.
# linux.patch lets it make system calls where KVM is PVM (and lets QEMU, which stops at an instruction that KVM
# fails to emulate, run it for comparison).
. "$(dirname "$0")/common.sh"

package=linux-source-6.12
source=/usr/src/$package.tar.xz

build() {
	tar xJf "$source" --strip-components=1
	patch -p1 --fuzz=0 <"$media/linux.patch" || {
		echo "linux.patch does not apply to $(version $package)"
		return 1
	}
	cp "$media/linux.config" arch/x86/configs/oriel_defconfig
	# Nothing in the image may depend on when, where and by whom it was built.
	export KBUILD_BUILD_TIMESTAMP='1 January 2024' KBUILD_BUILD_USER=oriel KBUILD_BUILD_HOST=oriel
	make oriel_defconfig
	check_configuration
	nice make -j"$(nproc)" vmlinux
	strip --strip-debug -o product vmlinux
}

# make drops what a dependency forbids without a word: then the tests would miss their devices.
check_configuration() {
	for option in ACPI ACPI_BUTTON BLK_DEV_NVME BLK_DEV_SD BLK_DEV_SR DEVTMPFS_MOUNT DRM_BOCHS \
		DRM_FBDEV_EMULATION E1000 E1000E EXT4_FS HID_GENERIC INPUT_EVDEV IP_PNP_DHCP ISO9660_FS \
		KEYBOARD_ATKBD MOUSE_PS2 PACKET PCI_MMCONFIG PCI_MSI PVH RTC_DRV_CMOS SATA_AHCI SERIAL_8250_CONSOLE \
		SERIAL_8250_PNP SERIO_I8042 SND_HDA_GENERIC SND_HDA_INTEL TMPFS UNIX98_PTYS USB_HID USB_STORAGE \
		USB_XHCI_PCI; do
		grep -q "^CONFIG_$option=y" .config || {
			echo "linux.config does not give CONFIG_$option"
			return 1
		}
	done
}

need "$source" $package
need bc bc
need bison bison
need flex flex
need gcc gcc
need patch patch
need /usr/include/libelf.h libelf-dev
versions=$(version $package gcc)
provide vmlinux "$versions" "$media/linux.config" "$media/linux.patch"
