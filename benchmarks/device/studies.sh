#!/usr/bin/env bash
# Studies side by side on a machine with several NVIDIA GPUs and no network, one process a GPU; each call returns at once.
# Here first: node benchmarks/device/pack-instatune.ts; node benchmarks/device/pack.mjs (Node and Dawn); a shim that shows
# a process one GPU: mkdir -p .carry/sel && gcc -O1 -shared -fPIC -o .carry/sel/libvulkan.so.1 benchmarks/device/select-gpu.c -ldl
# There:  studies.sh setup                        unpacks Node, Dawn and the loaders
#         studies.sh stage TASK…                  takes bundle and packs out of the working tree (packs may come in several calls)
#         studies.sh study GPU NAME TASK [AFTER]  the whole study of a task, once the study AFTER has ended
#         studies.sh sections GPU NAME TASKS SECTIONS [AFTER]   throughput,profile of some tasks
#         studies.sh bring                        ends of the logs, everything so far as $OUT/out.tgz
# INSTATUNE_RECIPE (JSON) and INSTATUNE_SECONDS reach the studies.
set -u
export VK_DRIVER_FILES=${VK_DRIVER_FILES:-/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json}
home=${STUDIES_HOME:-/tmp/hip}; self=$home/studies.sh; mkdir -p $home/packs $home/out $home/sel
tree=$(cd "$(dirname "$0")/../.." && pwd)
die() { echo "studies.sh: $*" >&2; exit 1; }
later() { # NAME AFTER COMMAND…: in the background, in a session of its own, when AFTER is done
  local name=$1 after=$2; shift 2
  [ -x $home/node ] || die "run setup first"
  [ -z "$after" ] || [ -d "$home/out/$after" ] || die "$name is to wait for $after, which nobody has started"
  mkdir -p "$home/out/$name"
  setsid nohup bash -c "[ -z '$after' ] || while [ ! -e $home/$after.done ]; do sleep 0.5; done; $*" >/dev/null 2>&1 &
}
staged() { for task in "$@"; do ls $home/packs/"$task"/*.pack >/dev/null 2>&1 || die "$task is not staged"; done; }
case ${1:-} in
setup)
  cd "$tree" || die "no $tree"
  if ! ldconfig -p | grep -q libvulkan.so.1; then for f in .gl/*.deb; do dpkg -x "$f" /; done; ldconfig; fi
  for name in node dawn.node; do
    python3 -c "import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2],'wb'))" .carry/$name.xz $home/$name || die "no $name"
  done
  chmod +x $home/node; cp .carry/sel/libvulkan.so.1 $home/sel/ || die "no shim"; cp benchmarks/device/studies.sh $self; nvidia-smi -L ;;
stage)
  shift; cd "$tree" && cp .carry/instatune.mjs $home/ || die "no .carry/instatune.mjs"
  for task in "$@"; do
    for to in "$task" all; do mkdir -p $home/packs/$to; cp .carry/instatune-"$task"*.pack $home/packs/$to/ || die "no pack of $task"; done
  done ;;
study) staged "$4"; later "$3" "${5:-}" bash $self run "$2" "$3" "$4" "$4" ;;
sections) staged ${4//,/ }; later "$3" "${6:-}" INSTATUNE_TASKS="$4" bash $self run "$2" "$3" all "$5" ;;
run) # GPU NAME PACKS SECTIONS
  out=$home/out/$3; mkdir -p "$out"; cd $home || exit 1
  real=$(ldconfig -p | awk '/libvulkan.so.1/{print $NF; exit}')
  GPU_INDEX=$2 LD_LIBRARY_PATH=$home/sel REAL_VULKAN=$real DAWN_NODE=$home/dawn.node CARRY=$home/packs/$4 SHARED_DIR=$home/shared-$3 OUT=$out \
    INSTATUNE_SECTIONS=$5 INSTATUNE_PARTIAL=$out/$3.partial.json $home/node $home/instatune.mjs > "$out/log.txt" 2>&1
  echo "exit $?" >> "$out/log.txt"; touch "$home/$3.done" ;;
bring)
  for folder in $home/out/*; do echo "== $folder"; tail -4 "$folder/log.txt" | cut -c1-400; done
  nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv; tar czf "$OUT/out.tgz" -C $home out ;;
*) sed -n '2,12p' "$0"; exit 2 ;;
esac
