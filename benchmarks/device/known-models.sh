#!/usr/bin/env bash
# Known models side by side on a machine with one or two NVIDIA GPUs and no network, one process a study; each call returns at once.
#   known-models.sh setup                         Node, Dawn, loaders and the bundle out of .carry, or the folder CARRIED (pack.mjs, pack-instatune.ts)
#   known-models.sh start GPU NAME SECTION [FILE]…  a section of the benchmark once every FILE (a glob) exists; its environment is this call's
#   known-models.sh wait SECONDS                  returns when all have ended, or the time is over
#   known-models.sh stop                          ends all of them
#   known-models.sh bring                         rows so far, ends of the logs, everything but weights as $OUT/out.tgz
# Weights and data lie under $STUDIES_HOME/shared as in ../shared (books as .txt, SST-2 as .tsv); they may come in several calls.
# A machine that is held only for seconds between calls goes back under running studies: send the calls without a pause.
set -u
export VK_DRIVER_FILES=${VK_DRIVER_FILES:-/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json}
home=${STUDIES_HOME:-/tmp/hip}
tree=$(cd "$(dirname "$0")/../.." && pwd)
carried=${CARRIED:-.carry}
# Where Vulkan's loaders are unpacked: the machine's own folders, another in a rehearsal.
loaders=${LOADERS:-/}
loader() { { ls "${loaders%/}"/usr/lib/x86_64-linux-gnu/libvulkan.so.1 2>/dev/null; ldconfig -p | awk '/libvulkan.so.1/{print $NF}'; } | head -1; }
case ${1:-} in
setup)
  mkdir -p "$home"/{sel,out,shared/spec,shared/models,shared/data}; cd "$tree" || exit 1
  if [ -z "$(loader)" ]; then for f in .gl/*.deb; do dpkg -x "$f" "$loaders"; done; [ "$loaders" != / ] || ldconfig; fi
  for name in node dawn.node instatune.mjs; do
    [ -e "$carried/$name.xz" ] || { cp "$carried/$name" "$home/"; continue; }
    python3 -c "import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2],'wb'))" "$carried/$name.xz" "$home/$name" &
  done; wait
  chmod +x "$home/node"; cp benchmarks/device/known-models.sh "$home/"
  gcc -O1 -shared -fPIC -o "$home/sel/libvulkan.so.1" benchmarks/device/select-gpu.c -ldl; nvidia-smi -L ;;
start)
  mkdir -p "$home/out/$3"; rm -f "$home/out/$3/ended"; : >"$home/out/$3/log.txt"
  GPU_INDEX=$2 NAME=$3 SECTION=$4 AFTER="${*:5}" setsid nohup bash "$home/known-models.sh" run >/dev/null 2>&1 & ;;
run)
  out=$home/out/$NAME; cd "$home" || exit 1
  echo $$ >"$out/pid"
  # shellcheck disable=SC2086
  for file in $AFTER; do until ls $file >/dev/null 2>&1; do sleep 1; done; done
  REAL_VULKAN=$(loader)
  export REAL_VULKAN LD_LIBRARY_PATH=$home/sel DAWN_NODE=$home/dawn.node CARRY=$home/none SHARED_DIR=$home/shared OUT=$out
  export INSTATUNE_SECTIONS=$SECTION INSTATUNE_PARTIAL=$out/partial.json INSTATUNE_KEPT=${KEPT:-$home/kept/$NAME} INSTATUNE_KEPT_AS=F16
  ./node instatune.mjs ${QUICK:-} >>"$out/log.txt" 2>&1; echo "exit $?" >>"$out/log.txt"; rm -f "$out/pid"; touch "$out/ended" ;;
wait)
  for ((t = 0; t < $2; t += 2)); do
    [ "$(grep -l '^exit' "$home"/out/*/log.txt | wc -l)" -ge "$(find "$home/out" -mindepth 1 -maxdepth 1 | wc -l)" ] && break
    sleep 2
  done ;;
stop)
  # Each is the leader of a session of its own.
  for file in "$home"/out/*/pid; do [ -e "$file" ] && kill -- "-$(cat "$file")" 2>/dev/null; rm -f "$file"; done ;;
bring)
  for folder in "$home"/out/*; do echo "== $folder"; grep '"row"' "$folder/log.txt" | cut -c1-300; tail -1 "$folder/log.txt" | cut -c1-200; done
  nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv; tar czf "$OUT/out.tgz" -C "$home" out ;;
*) sed -n '2,10p' "$0"; exit 2 ;;
esac
