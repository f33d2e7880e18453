#!/usr/bin/env bash
# SmolLM2's shape as ONNX on two threads of a machine's CPU, beside whatever else runs there. Both calls take a second.
#   onnx-cpu.sh start NODE     unpacks what pack-onnx-cpu.ts packed beside this file and starts: NODE is a Node binary
#   onnx-cpu.sh collect        rows and logs so far as $OUT/onnx-cpu.tgz
# ONNX_CPU_TINY=1: a rehearsal; ONNX_CPU_LENGTHS: lengths by `:` (two jobs each), ONNX_CPU_LONG: the one that has a job by itself
set -u
home=${ONNX_CPU_HOME:-/tmp/hip-ox}; here=$(cd "$(dirname "$0")" && pwd)
case ${1:-} in
start)
  node=$(realpath "$2"); mkdir -p "$home/out"
  python3 -c "import lzma,sys,tarfile,io; tarfile.open(fileobj=io.BytesIO(lzma.open(sys.argv[1]).read())).extractall(sys.argv[2])" "$here/onnx-cpu.tar.xz" "$home"
  (lscpu; lscpu -e; cat /proc/loadavg) > "$home/out/machine.txt" 2>&1
  last=$(($(nproc) - 1))
  job() { # CORES NAME DTYPE LENGTHS SESSIONS
    echo "cd $home; taskset -c $1 nice -n 5 $node onnx-cpu.mjs --out out/$2.json --dtype $3 --lengths ${4//:/,} --sessions $5 ${ONNX_CPU_TINY:+--tiny} > out/$2.log 2>&1; echo exit \$? >> out/$2.log"
  }
  # Neighbours may be threads of one core: every other one is left idle.
  pair() { echo "$((last - 4 * $1)),$((last - 4 * $1 - 2))"; }
  run() { setsid nohup bash -c "$1" > /dev/null 2>&1 < /dev/null & }
  IFS=: read -ra lengths <<< "${ONNX_CPU_LENGTHS:-8192:16384}"
  at=0
  for length in "${lengths[@]}"; do
    for dtype in fp32 q4; do run "$(job "$(pair $at)" "$dtype-$length" $dtype "$length" hip,profile,whole)"; at=$((at + 1)); done
  done
  # The scores of the whole graph take 38 GB at 32K, and seven minutes: each session for itself, so that ten minutes are enough.
  long=${ONNX_CPU_LONG:-32768}
  for session in hip whole; do run "$(job "$(pair $at)" "fp32-$long-$session" fp32 "$long" $session)"; at=$((at + 1)); done
  echo "onnx-cpu: started" ;;
collect)
  tar czf "$OUT/onnx-cpu.tgz" -C "$home" out; tail -n 2 "$home"/out/*.log | cut -c1-300 ;;
*) sed -n '2,6p' "$0"; exit 2 ;;
esac
