#!/bin/sh
# A hard disk of 4 MiB that starts GRUB, which tells over the serial port what it reads from the middle of the disk.
. "$(dirname "$0")/common.sh"

build() {
	cat >config <<-'END'
		serial --unit=0 --speed=115200
		terminal_output serial
		echo "GRUB runs from $root"
		cat (hd0)4096+1
		echo "GRUB is done"
		read
	END
	grub-mkimage --format=i386-pc --prefix='(hd0)' --config=config --output=core.img \
		biosdisk cat echo read serial terminal
	# Its first sector expects the rest behind it, and the boot sector expects it in the disk's second sector.
	cat /usr/lib/grub/i386-pc/boot.img core.img >product
	truncate -s 4M product
	{
		echo 'read from the middle'
		head -c 491 /dev/zero | tr '\0' '\n'
	} | dd of=product bs=512 seek=4096 conv=notrunc
}

need grub-mkimage grub-common
need /usr/lib/grub/i386-pc/moddep.lst grub-pc-bin
versions=$(version grub-pc-bin grub-common)
provide grub-disk "$versions"
