#!/usr/bin/env bash
# Weights and data of the studies of lease.sh in pieces, and the calls that carry them: .carry-parts/CALL/part-NAME.tar.I-of-N, to be copied to .carry/.
# A call carries 64 MiB with the working tree's own 24 MB. The first brings Node, Dawn and the bundle (pack.mjs, pack-instatune.ts), then these in
# the order in which studies begin.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
shared=$(cd "${SHARED_DIR:-$root/../shared}" && pwd)
out=$root/.carry-parts
PIECE=20000000 CALL=41000000
rm -rf "$out"; mkdir -p "$out/1"
call=2 room=$CALL
part() { # NAME READY-FOLDERS PATH…; READY lies in each folder whose files are all there
  local name=$1 ready=$2; shift 2
  rm -rf "$out/.stage"; mkdir "$out/.stage"
  for path in "$@"; do mkdir -p "$out/.stage/$(dirname "$path")"; cp -rL "$shared/$path" "$out/.stage/$path"; done
  for folder in $ready; do touch "$out/.stage/$folder/READY"; done
  tar cf - -C "$out/.stage" . | split -d -a 2 -b $PIECE - "$out/piece"
  local pieces=("$out"/piece*) i=0
  for piece in "${pieces[@]}"; do
    size=$(stat -c %s "$piece"); i=$((i + 1))
    [ "$size" -le "$room" ] || { call=$((call + 1)); room=$CALL; }
    room=$((room - size)); mkdir -p "$out/$call"; mv "$piece" "$out/$call/part-$name.tar.$i-of-${#pieces[@]}"
  done
}
cd "$shared"
part minilm models/minilm-l6 models/minilm-l6
# shellcheck disable=SC2046
part texts "data/sst2 data/books" data/sst2 $(ls data/books/*.txt)
part cifar data/cifar10 models/vit-cifar data/cifar10
part smollm2 models/smollm2-135m-instruct models/smollm2-135m-instruct
rm -rf "$out/.stage"
du -b "$out"/*/* | sed "s|$out/||"
