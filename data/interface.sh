#!/bin/sh
# interface.sh GDBUS-CODEGEN BODY HEADER XML...: D-Bus interfaces as constant data, for programs to serve.
set -e
codegen=$1 body=$2 header=$3
shift 3
"$codegen" --interface-info-header --output "$header" "$@"
"$codegen" --interface-info-body --output "$body" "$@"
