#!/bin/sh
# A USB stick that starts GRUB with a menu in text mode, and has a line of text at 1 MiB.
. "$(dirname "$0")/common.sh"

build() {
	mkdir -p memory/boot/grub
	cp "$media/grub-stick.cfg" memory/boot/grub/grub.cfg
	(cd memory && tar cf ../memory.tar boot)
	grub-mkimage --format=i386-pc --output=core.img --memdisk=memory.tar --prefix='(memdisk)/boot/grub' \
		biosdisk memdisk tar normal configfile cat echo read halt
	# GRUB lies behind the boot sector, where that looks for it if nobody has told it better.
	cp /usr/lib/grub/i386-pc/boot.img product
	dd if=core.img of=product bs=512 seek=1 conv=notrunc
	printf '%-511s\n' 'read from a stick' | dd of=product bs=512 seek=2048 conv=notrunc
	truncate --size=8M product
	# An active partition, which some BIOSes want to see, and the signature.
	printf '\200\376\377\377\332\376\377\377\000\010\000\000\000\030\000\000' |
		dd of=product bs=1 seek=446 conv=notrunc
	printf '\125\252' | dd of=product bs=1 seek=510 conv=notrunc
}

need grub-mkimage grub-common
need /usr/lib/grub/i386-pc/moddep.lst grub-pc-bin
versions=$(version grub-pc-bin grub-common)
provide grub-stick "$versions" "$media/grub-stick.cfg"
