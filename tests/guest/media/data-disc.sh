#!/bin/sh
# An ISO 9660 disc with data that cannot be started from.
. "$(dirname "$0")/common.sh"

build() {
	mkdir disc
	echo 'read from a disc' >disc/greeting.txt
	seq 1 400000 >disc/numbers.txt
	xorriso -as mkisofs -quiet -R -J -V ORIEL_DATA -o product disc
}

need xorriso xorriso
versions=$(version xorriso)
provide data-disc "$versions"
