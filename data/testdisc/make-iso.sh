#!/bin/sh
# make-iso.sh PROGRAM ISO XORRISO: a disc that boots PROGRAM (El Torito, no emulation, loaded whole).
set -e
program=$1 iso=$2 xorriso=$3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$program" "$folder/boot.bin"
# The firmware loads 512-byte sectors, as many as the catalogue says.
sectors=$(( ($(stat -c %s "$program") + 511) / 512 ))
"$xorriso" -report_about FAILURE -as mkisofs -quiet -V ORIEL_TEST -o "$iso" -b boot.bin -no-emul-boot \
	-boot-load-size "$sectors" "$folder"
