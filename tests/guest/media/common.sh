# Sourced by the other scripts here, each of which is called with the path of the file that it has to provide.
#
# A product is built once for a set of inputs and kept outside the source and build folders, named after a hash
# of these inputs; the file asked for becomes a symbolic link to it. Products are read-only: tests copy them.
# shellcheck shell=sh
set -eu

media=$(dirname "$(readlink -f "$0")")
cache=${ORIEL_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/oriel-tests}
[ $# -eq 1 ] || { echo "usage: $0 FILE" >&2; exit 2; }
output=$1

fail() {
	echo "$(basename "$0"): $*" >&2
	exit 1
}

# need COMMAND-OR-FILE PACKAGE
need() {
	case $1 in
	/*) [ -e "$1" ] ;;
	*) command -v "$1" >/dev/null ;;
	esac || fail "$1 is missing: apt-get install $2"
}

# Version of an installed package, which becomes part of the key.
version() {
	dpkg-query --show --showformat='${Package} ${Version}\n' "$@" 2>/dev/null ||
		fail "a package is missing: apt-get install $*"
}

# provide NAME VERSIONS INPUT-FILE...: calls build(), unless the cache has what it would make from these files
# and package versions. build() works in an empty directory and leaves its product there as "product".
provide() {
	name=$1
	versions=$2
	shift 2
	key=$({ echo "$versions"; cat "$0" "$media/common.sh" "$@"; } | sha256sum | cut -c 1-20)
	product=$cache/$name-$key
	mkdir -p "$cache"
	exec 9>"$cache/$name.lock"
	flock 9
	if [ ! -e "$product" ]; then
		work=$(mktemp -d "$cache/$name-work.XXXXXX")
		trap 'rm -rf "$work"' EXIT
		(cd "$work" && build) >"$cache/$name.log" 2>&1 || {
			tail -n 40 "$cache/$name.log" >&2
			fail "could not build $name; all messages are in $cache/$name.log"
		}
		chmod a-w "$work/product"
		mv "$work/product" "$product"
	fi
	touch -c "$product"
	find "$cache" -maxdepth 1 -name "$name-*" ! -name '*-work.*' -mtime +30 -exec rm -f {} +
	ln -sfn "$product" "$output"
}
