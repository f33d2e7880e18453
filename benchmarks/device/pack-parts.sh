#!/usr/bin/env bash
# Weights and data of the studies of lease.sh in pieces, and the calls that carry them: .carry-parts/CALL/part-NAME.tar.xz.I-of-N, in the order in
# which studies begin; the first call has room beside what is there. CALL: bytes that a call may carry beside the working tree (prepare-lease.sh).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
shared=$(cd "${SHARED_DIR:-$root/../shared}" && pwd)
out=$root/.carry-parts
CALL=${CALL:-41000000}
call=1 room=$((CALL - $(du -bc "$out/1" "$root/.gl" 2>/dev/null | awk '$2 == "total" { print $1 }')))
stage=$(mktemp -d); trap 'rm -rf "$stage"' EXIT
part() { # NAME READY-FOLDERS PATH…; READY lies in each folder whose files are all there
  local name=$1 ready=$2 pieces=0 size; shift 2
  rm -rf "$stage"; mkdir -p "$stage/files" "$stage/pieces"
  for path in "$@"; do
    mkdir -p "$stage/files/$(dirname "$path")"; cp -rL --no-preserve=mode "$shared/$path" "$stage/files/$path"
  done
  for folder in $ready; do touch "$stage/files/$folder/READY"; done
  tar cf - -C "$stage/files" . | xz -T0 -1 >"$stage/all"
  # A call is filled to the last byte.
  local total from=0; total=$(stat -c %s "$stage/all")
  while [ "$from" -lt "$total" ]; do
    [ "$room" -gt 100000 ] || { call=$((call + 1)); room=$CALL; }
    size=$((total - from < room ? total - from : room)); pieces=$((pieces + 1))
    mkdir -p "$out/$call"
    tail -c "+$((from + 1))" "$stage/all" | head -c "$size" >"$stage/pieces/$call"
    mv "$stage/pieces/$call" "$out/$call/part-$name.tar.xz.$pieces-of-"
    from=$((from + size)) room=$((room - size))
  done
  for piece in "$out"/*/part-"$name".tar.xz.*-of-; do mv "$piece" "$piece$pieces"; done
}
cd "$shared"
# shellcheck disable=SC2046
part texts "data/sst2 data/books" data/sst2 $(ls data/books/*.txt)
part minilm models/minilm-l6 models/minilm-l6
part smollm2 models/smollm2-135m-instruct models/smollm2-135m-instruct
part cifar data/cifar10 models/vit-cifar data/cifar10
du -b "$out"/*/* | sed "s|$out/||"
