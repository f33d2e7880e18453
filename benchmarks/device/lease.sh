#!/usr/bin/env bash
# One lease of one or two GPUs for known-models.md, by priority: SST-2, embeddings, SmolLM2 on books, CIFAR-10, TypeScript.
# At most three trainings share a GPU: each of its three chains begins the next study when one has ended.
#   lease.sh take            moves what this call carried (.carry/part-*) to where the studies read it; a study starts when its parts are there
#   lease.sh begin GPUS SECONDS   sets up and starts everything; all of it ends after so many seconds. Again, after a kill: goes on from what is kept
#   lease.sh wait SECONDS    as known-models.sh; then `known-models.sh bring`
#   lease.sh plan GPUS       the chains, and which study has how many seconds
# TINY=1: two steps of each, to rehearse on a software GPU.
set -u
here=$(cd "$(dirname "$0")" && pwd)
export STUDIES_HOME=${STUDIES_HOME:-/tmp/hip}
home=$STUDIES_HOME
models="bash $here/known-models.sh"

L='"labels":{"batchSize":64,"dropout":{"hidden":0.1,"attention":0.1,"classifier":0.1},"average":{"decay":0.999},"optimizer":{"weightDecay":0.01,"layerDecay":0.65},"schedule":{"kind":"linear","warmup":0.08}}'
# 3,690 plain steps of 64 are 4.1 of 900.
SST2="{$L,\"steps\":900,\"plain\":[{\"rate\":2,\"steps\":4.1}],\"evaluations\":80,\"tune\":[{\"share\":0.6,\"steps\":1200,\"rate\":1},{\"share\":0.4,\"steps\":1200,\"rate\":1}]}"
EMB='{"steps":0,"tune":9000,"learningRate":0.0004,"hiddenStates":3,"pieces":200000,"similarities":0,"prefixes":[],"direct":[{"layers":6,"heads":12,"ffn":600}],"space":{"layers":[3,6],"heads":[12],"ffn":[344,600,1536],"hidden":[384]}}'
# 4,096 tokens a step as before, in windows of 1,024 instead of 256.
SMOL='{"window":1024,"batchSize":4,"steps":360,"plain":[{"rate":0.666667,"steps":0.68}],"tune":[{"share":0.75,"steps":600,"rate":1},{"share":0.6,"steps":600,"rate":1}],"evaluations":50,"answers":0}'
CIFAR='{"steps":1800,"distilledSteps":500,"plain":[{"rate":0.333333,"steps":0.066}],"tactics":["linas"],"evaluations":100,"tune":[{"share":0.4,"steps":2200,"rate":1.5}],"shares":[0.6,0.4]}'
if [ -n "${TINY:-}" ]; then
  SST2='{"steps":2,"batchSize":2,"labels":{"batchSize":2},"plain":[{"rate":2,"steps":1}],"evaluations":2,"tune":[{"share":0.6,"steps":1,"rate":1}]}'
  EMB='{"steps":0,"tune":1,"batchSize":1,"texts":6,"pieces":2,"hiddenStates":3,"similarities":0,"reconstruct":false,"reportsAll":false,"prefixes":[],"direct":[{"layers":6,"heads":12,"ffn":600}],"space":{"layers":[3,6],"heads":[12],"ffn":[344,600,1536],"hidden":[384]}}'
  SMOL='{"window":32,"steps":2,"batchSize":1,"plain":[{"rate":1,"steps":1}],"tune":[],"evaluations":2,"answers":0,"skip":null}'
  CIFAR='{"steps":2,"batchSize":2,"distilledSteps":1,"plain":[{"rate":0.33,"steps":0.5}],"tactics":["linas"],"evaluations":2,"tune":[]}'
fi

# GPU CHAIN STUDY SECTION SEED SECONDS (0: until the end) RECIPE
jobs_of() {
  if [ "$1" -ge 2 ]; then cat <<J
0 a sst2-0 sst2-minilm 0 640 SST2
0 b sst2-1 sst2-minilm 1 640 SST2
0 c sst2-2 sst2-minilm 2 640 SST2
1 d emb-600 embeddings 0 700 EMB
1 e books smollm2-books 0 0 SMOL
1 f typescript smollm2-typescript 0 0 SMOL
0 a cifar-0 cifar10 0 0 CIFAR
0 b cifar-1 cifar10 1 0 CIFAR
0 c cifar-2 cifar10 2 0 CIFAR
J
  else cat <<J
0 a sst2-0 sst2-minilm 0 600 SST2
0 b sst2-1 sst2-minilm 1 600 SST2
0 c sst2-2 sst2-minilm 2 600 SST2
0 a emb-600 embeddings 0 0 EMB
0 b books smollm2-books 0 0 SMOL
0 c cifar-0 cifar10 0 0 CIFAR
J
  fi
}

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
take)
  mkdir -p "$home/parts" "$home/shared"
  for part in "$here"/../../.carry/part-*; do [ -e "$part" ] && cp "$part" "$home/parts/.part" && mv "$home/parts/.part" "$home/parts/${part##*/}"; done
  # part-NAME.tar.I-of-N
  for name in $(ls "$home/parts" | sed -n 's/\.tar\..*//p' | sort -u); do
    files=("$home/parts/$name".tar.*); total=${files[0]##*-}
    if [ "${#files[@]}" -eq "$total" ] && [ ! -e "$home/parts/$name.done" ]; then
      cat $(printf '%s\n' "${files[@]}" | sort -V) | tar x -C "$home/shared" && touch "$home/parts/$name.done"
    fi
  done; ls "$home/parts" ;;
begin)
  gpus=$2; end=$(($(date +%s) + $3 - 40))
  [ -x "$home/node" ] || $models setup || exit 1
  mkdir -p "$home/shared"
  find -L "$here"/../../packages/*/src -name '*.ts' | sort | xargs cat >"$home/shared/typescript.txt"
  export INSTATUNE_TYPESCRIPT=$home/shared/typescript.txt INSTATUNE_PRECISION=${INSTATUNE_PRECISION:-mixed} INSTATUNE_SEARCH_SEEDS=0 INSTATUNE_HITS=1
  declare -A last=() until=()
  while read -r gpu chain study section seed seconds recipe; do
    before=${until[$chain]:-$(date +%s)}; own=$end; [ "$seconds" -gt 0 ] && [ $((before + seconds)) -lt "$end" ] && own=$((before + seconds))
    until[$chain]=$own
    # A study that is over is not run again; one that was killed goes on from what is kept.
    if grep -q '^exit 0' "$home/out/$study/log.txt" 2>/dev/null; then last[$chain]=$study; continue; fi
    # shellcheck disable=SC2046
    INSTATUNE_SEED=$seed INSTATUNE_DEADLINE=$own INSTATUNE_RECIPE=${!recipe} $models start "$gpu" "$study" "$section" \
      $(reads "$section") "${last[$chain]:+$home/out/${last[$chain]}/ended}"
    last[$chain]=$study
  done < <(jobs_of "$gpus") ;;
wait) shift; $models wait "$@" ;;
plan) jobs_of "${2:?}" | sort -s -k2,2 ;;
*) sed -n '2,9p' "$0"; exit 2 ;;
esac
