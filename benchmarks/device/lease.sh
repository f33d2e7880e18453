#!/usr/bin/env bash
# One lease of one, two or four GPUs for known-models.md, by priority: SST-2, embeddings, SmolLM2 on books, CIFAR-10, TypeScript (lease-jobs.sh).
# At most three trainings share a GPU: each of its three chains begins the next study when one has ended.
#   lease.sh prepare [GPUS SECONDS]   here: everything that travels, and the calls to send
#   lease.sh plan [GPUS SECONDS]      here: the chains, what each training takes and what of it fits
#   lease.sh begin GPUS SECONDS       there: sets up and starts everything; all of it ends after so many seconds. Again, after a kill: goes on from what is kept
#   lease.sh take                     there: what this call carried (.carry-parts/*/part-*) to where the studies read it; a study starts when its parts are there
#   lease.sh look                     there: the last lines of every study, and what became of its recordings
#   lease.sh wait SECONDS             there: returns when all have ended, or the time is over
#   lease.sh bring                    there: rows and logs as $OUT/out.tgz, and the rows so far
#   lease.sh weights STUDY N          there: the N-th 60 MB (from 1) of the networks that a study has tuned, in $OUT; here, cat PIECES | tar x
#   lease.sh stop                     there: ends the studies; begin goes on
# TINY=1: one or two steps of each, to rehearse on a software GPU (rehearse.sh).
set -u
here=$(cd "$(dirname "$0")" && pwd)
export STUDIES_HOME=${STUDIES_HOME:-/tmp/hip} CARRIED=${CARRIED:-.carry-parts/1}
home=$STUDIES_HOME
models="bash $here/known-models.sh"
. "$here/lease-jobs.sh"

# What a section reads, when all of it is there.
reads() {
  case $1 in
  sst2-minilm) echo "$home/shared/models/minilm-l6/READY" "$home/shared/data/sst2/READY" ;;
  embeddings) echo "$home/shared/models/minilm-l6/READY" "$home/shared/data/books/READY" ;;
  smollm2-*) echo "$home/shared/data/books/READY" "$home/shared/models/smollm2-135m-instruct/READY" ;;
  cifar10) echo "$home/shared/data/cifar10/READY" ;;
  esac
}

case ${1:-} in
prepare) shift; exec bash "$here/prepare-lease.sh" "$@" ;;
plan) shift; exec node "$here/../../scripts/run.mjs" exec node --disable-warning=ExperimentalWarning --conditions=source "$here/lease-plan.ts" "$@" ;;
jobs)
  jobs_of "${2:?}" | while read -r gpu chain study section seed seconds recipe kept; do
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$gpu" "$chain" "$study" "$section" "$seed" "$seconds" "$kept" "${!recipe}"
  done ;;
take)
  mkdir -p "$home/parts" "$home/shared"
  for part in "$here"/../../.carry-parts/*/part-*; do
    to=$home/parts/${part##*/}
    [ -e "$part" ] && [ ! -e "$to" ] && cp "$part" "$home/parts/.part" && mv "$home/parts/.part" "$to"
  done
  # part-NAME.tar.xz.I-of-N
  for name in $(ls "$home/parts" | sed -n 's/\.tar\.xz\..*//p' | sort -u); do
    files=("$home/parts/$name".tar.xz.*); total=${files[0]##*-}
    [ "${#files[@]}" -eq "$total" ] && [ ! -e "$home/parts/$name.done" ] || continue
    mkdir -p "$home/unpacked/$name"
    # A study begins when READY is there: folders come into their place when all of their files are unpacked.
    printf '%s\0' "${files[@]}" | sort -zV | xargs -0 cat \
      | python3 -c 'import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.stdin.buffer), sys.stdout.buffer)' | tar x -C "$home/unpacked/$name" --no-same-owner \
      && (cd "$home/unpacked/$name" && { find . -type f ! -name READY; find . -type f -name READY; } | while read -r file; do
        mkdir -p "$home/shared/${file%/*}" && mv "$file" "$home/shared/$file"
      done) && touch "$home/parts/$name.done"
  done; ls "$home/parts" ;;
begin)
  gpus=$2; end=$(($(date +%s) + $3 - 40))
  [ -x "$home/node" ] || $models setup || exit 1
  bash "$0" take >/dev/null
  mkdir -p "$home/shared"
  find -L "$here"/../../packages/*/src -name '*.ts' | sort | xargs cat >"$home/shared/typescript.txt"
  export INSTATUNE_TYPESCRIPT=$home/shared/typescript.txt INSTATUNE_PRECISION=${INSTATUNE_PRECISION:-mixed} INSTATUNE_SEARCH_SEEDS=0 INSTATUNE_HITS=1 INSTATUNE_RECORDING_GIB=24
  declare -A last=() until=()
  while read -r gpu chain study section seed seconds recipe kept; do
    # A study that is over is not run again; one that was killed goes on from what is kept.
    if grep -q '^exit 0' "$home/out/$study/log.txt" 2>/dev/null; then last[$chain]=$study; continue; fi
    before=${until[$chain]:-$(date +%s)}; own=$end; [ "$seconds" -gt 0 ] && [ $((before + seconds)) -lt "$end" ] && own=$((before + seconds))
    until[$chain]=$own
    if kill -0 "$(cat "$home/out/$study/pid" 2>/dev/null || echo none)" 2>/dev/null; then last[$chain]=$study; continue; fi
    first=; [ "$kept" = "$study" ] || first="$home/kept/$kept/*plain*/trained.json"
    # shellcheck disable=SC2046
    INSTATUNE_SEED=$seed INSTATUNE_DEADLINE=$own INSTATUNE_RECIPE=${!recipe} KEPT=$home/kept/$kept $models start "$gpu" "$study" "$section" \
      $(reads "$section") ${first:+"$first"} "${last[$chain]:+$home/out/${last[$chain]}/ended}"
    last[$chain]=$study
  done < <(jobs_of "$gpus") ;;
look)
  for log in "$home"/out/*/log.txt; do
    [ -s "$log" ] || continue
    echo "== $(basename "$(dirname "$log")")"; grep -h recording "$log" | tail -2; tail -2 "$log" | cut -c1-200
  done
  nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader; free -g | sed -n 2p ;;
wait) shift; $models wait "$@" ;;
stop) $models stop ;;
weights)
  study=$2 number=$3 pieces=$home/pieces/$2
  if [ ! -d "$pieces" ]; then
    mkdir -p "$pieces"
    (cd "$home/kept/$study" && tar c -- *_tuned_*) | split -d -a 2 -b 15000000 - "$pieces/$study.tar."
  fi
  files=("$pieces"/*); echo "${#files[@]} pieces, $(((${#files[@]} + 3) / 4)) calls"
  cp "${files[@]:$((4 * (number - 1))):4}" "$OUT/" ;;
bring) $models bring ;;
*) sed -n '2,13p' "$0"; exit 2 ;;
esac
