#!/bin/sh
# run.sh fuzzer corpus: every input of the corpus, then a bounded run that starts from them; as TAP.
# ORIEL_FUZZ_SECONDS makes the run longer, ORIEL_FUZZ_ARTIFACTS keeps what it finds (and what it learnt).
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
found=${ORIEL_FUZZ_ARTIFACTS:-$folder}
# The fuzzer's own files; memory is faster.
export TMPDIR="$folder"
if [ -w /dev/shm ]; then
	TMPDIR=$(mktemp -d /dev/shm/oriel-fuzz-run-XXXXXX)
	trap 'rm -rf "$folder" "$TMPDIR"' EXIT
fi
mkdir -p "$found/learnt"

fuzz() { # number, what it is, arguments
	number=$1
	what=$2
	shift 2
	if "$fuzzer" -max_len=100000 -timeout=120 -rss_limit_mb=1024 -malloc_limit_mb=512 \
		-artifact_prefix="$found/" "$@" >"$folder/log" 2>&1; then
		echo "ok $number $what"
		grep -E "^#[0-9]+.DONE" "$folder/log" | sed 's/^/# /'
	else
		echo "not ok $number $what"
		tail -n 60 "$folder/log" | sed 's/^/# /'
		for input in "$found"/crash-* "$found"/leak-* "$found"/timeout-* "$found"/oom-*; do
			[ -f "$input" ] && gzip -9 -c "$input" | base64 -w 0 | sed "s|^|# ${input##*/} (gzip): |; s|\$|\\n|"
		done
	fi
}

if [ ! -x "$1" ]; then
	echo "1..0 # SKIP not built: meson compile -C build fuzzers"
	exit 0
fi
fuzzer=$1
corpus=$2
seconds=${ORIEL_FUZZ_SECONDS:-60}
echo "1..2"
fuzz 1 "corpus of $(ls "$corpus" | wc -l) inputs" -runs=0 "$corpus"
fuzz 2 "inputs made up for $seconds s" -max_total_time="$seconds" "$found/learnt" "$corpus"
