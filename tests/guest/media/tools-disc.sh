#!/bin/sh
# A disc with programs for the small Linux: ALSA's tools and iperf3, each run by "/mnt/run NAME ARGUMENT...".
. "$(dirname "$0")/common.sh"

programs="aplay amixer iperf3"

build() {
	mkdir -p disc/bin disc/lib
	for program in $programs; do
		path=$(command -v $program)
		cp "$path" disc/bin/
		ldd "$path" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | xargs -I{} cp -Ln {} disc/lib/
	done
	cp /lib64/ld-linux-x86-64.so.2 disc/lib/
	cp -rL /usr/share/alsa disc/alsa
	cat >disc/run <<-'EOF'
		#!/bin/sh
		# aplay is arecord, too, by the name that it is called by.
		name=$1
		program=/mnt/bin/$1
		[ "$name" = arecord ] && program=/mnt/bin/aplay
		shift
		exec /mnt/lib/ld-linux-x86-64.so.2 --argv0 "$name" --library-path /mnt/lib \
			"$program" "$@"
	EOF
	chmod +x disc/run
	xorriso -as mkisofs -quiet -R -V ORIEL_TOOLS -o product disc
}

need xorriso xorriso
need aplay alsa-utils
need iperf3 iperf3
versions=$(version xorriso alsa-utils iperf3 libc6 libasound2)
provide tools-disc "$versions"
