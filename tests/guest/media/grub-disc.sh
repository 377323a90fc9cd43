#!/bin/sh
# A disc that starts GRUB with a menu in the VBE mode 1024x768 at 32 bits.
. "$(dirname "$0")/common.sh"

build() {
	mkdir -p disc/boot/grub
	cp "$media/grub.cfg" disc/boot/grub/
	# 224 glyphs instead of all of Unicode, which takes minutes to read where real mode is emulated.
	cp /usr/share/grub/ascii.pf2 disc/boot/grub/
	grub-mkimage --format=i386-pc-eltorito --prefix=/boot/grub --output=disc/boot/grub/eltorito.img \
		biosdisk iso9660 normal configfile vbe gfxterm font video_fb echo read halt reboot
	xorriso -as mkisofs -quiet -R -V ORIEL_GRUB -b boot/grub/eltorito.img -no-emul-boot \
		-boot-load-size 4 -boot-info-table -o product disc
}

need grub-mkimage grub-common
need xorriso xorriso
need /usr/share/grub/ascii.pf2 grub-common
need /usr/lib/grub/i386-pc/moddep.lst grub-pc-bin
versions=$(version grub-pc-bin grub-common xorriso)
provide grub-disc "$versions" "$media/grub.cfg"
