#!/bin/sh
# run.sh fuzzer seed-maker: a bounded run from fresh seeds. ORIEL_FUZZ_SECONDS makes it longer.
set -e
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$2" "$folder/seeds"
mkdir "$folder/corpus"
"$1" -max_total_time="${ORIEL_FUZZ_SECONDS:-30}" -max_len=262144 -timeout=10 -rss_limit_mb=1024 \
	-artifact_prefix="${ORIEL_FUZZ_ARTIFACTS:-$folder}/" -print_final_stats=1 "$folder/corpus" "$folder/seeds"
