#!/usr/bin/env bash
# A call of the device tool without the device, on SwiftShader: bash benchmarks/device/rehearse.sh COMMAND [CARRIED…]
# Copies the working tree and what is carried to $DEVICE/tree as the tool does, holds the call against the tool's limits, and runs it there with an
# empty $OUT. TINY=1 in the command's environment keeps the studies short (lease-jobs.sh).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
device=${DEVICE:-/tmp/hip-device}
command=$1; shift
refuse() { echo "the tool would refuse: $1" >&2; exit 1; }
[ ${#command} -le 2000 ] || refuse "a command of ${#command} characters, 2000 at most"
[ $# -le 8 ] || refuse "$# carried paths, 8 at most"
swiftshader=$(ls -d "$root"/node_modules/.cache/hip-testing/swiftshader-* 2>/dev/null | head -1)
[ -n "$swiftshader" ] || { echo "no SwiftShader yet: it comes with any test on the GPU (packages/testing)" >&2; exit 1; }

cd "$root"
mkdir -p "$device/tree" "$device/bin"; rm -rf "$device/out"; mkdir "$device/out"
list=$(mktemp)
git ls-files -z --cached --others --exclude-standard | while IFS= read -rd '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done >"$list"
bytes=$(xargs -0 du -bc <"$list" | awk '$2 == "total" { sum += $1 } END { print sum }')
for path in "$@"; do bytes=$((bytes + $(du -bs "$path" 2>/dev/null | cut -f1 || echo 0))); done
[ "$bytes" -le $((64 * 1024 * 1024)) ] || refuse "$bytes bytes with the working tree, $((64 * 1024 * 1024)) at most"
tar c --null -T "$list" | tar x -C "$device/tree"; rm -f "$list"
for path in "$@"; do rm -rf "$device/tree/$path"; mkdir -p "$(dirname "$device/tree/$path")"; [ ! -e "$path" ] || cp -r "$path" "$device/tree/$path"; done
printf '#!/bin/sh\necho "GPU 0: SwiftShader"\n' >"$device/bin/nvidia-smi"; chmod +x "$device/bin/nvidia-smi"

cd "$device/tree"
started=$(date +%s) rc=0
# What a command leaves running in a session of its own runs on.
env -u NODE_OPTIONS PATH="$device/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" OUT="$device/out" STUDIES_HOME="$device/home" \
  LOADERS="$device/loaders" VK_DRIVER_FILES="$swiftshader/vk_swiftshader_icd.json" XDG_RUNTIME_DIR=/tmp INSTATUNE_PRECISION=float32 \
  TINY="${TINY-1}" QUICK="${QUICK---quick}" INSTATUNE_LIMIT="${INSTATUNE_LIMIT:-2}" \
  timeout "${LIMIT:-600}" bash -c "$command" || rc=$?
echo "== rc $rc, $(($(date +%s) - started)) s, $((bytes / 1000000)) MB sent"
find "$device/out" -type f -printf '%s %P\n' | sort -k2
[ "$(find "$device/out" -type f | wc -l)" -le 8 ] || refuse 'more than 8 files of $OUT come back'
[ -z "$(find "$device/out" -type f -size +16777216c)" ] || refuse 'files over 16 MiB do not come back'
exit "$rc"
