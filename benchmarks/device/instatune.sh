#!/usr/bin/env bash
# On a machine with an NVIDIA GPU and no network: unpacks Node and Dawn, runs the sections named, leaves JSON under $OUT.
# bash benchmarks/device/instatune.sh SECONDS_PER_TASK SECTION…   (sections: sst2 cifar10 books throughput profile)
set -u
seconds=$1; shift
out=${OUT:-out}; mkdir -p "$out" /tmp/hip
if [ -d .gl ] && ! ldconfig -p | grep -q libvulkan.so.1; then for f in .gl/*.deb; do dpkg -x "$f" /; done; ldconfig; fi
fetch() { # NAME: from .carry/NAME or .carry/NAME.xz to /tmp/hip/NAME, unless it is there from an earlier call
  [ -s "/tmp/hip/$1" ] && return
  if [ -f ".carry/$1" ]; then cp ".carry/$1" "/tmp/hip/$1"
  elif [ -f ".carry/$1.xz" ]; then python3 -c "import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2],'wb'))" ".carry/$1.xz" "/tmp/hip/$1"
  fi
  chmod +x "/tmp/hip/$1" 2>/dev/null
}
fetch node; fetch dawn.node
if [ -z "${VK_DRIVER_FILES:-}" ] && [ -f /usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json ]; then export VK_DRIVER_FILES=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json; fi
for section in "$@"; do
  started=$(date +%s)
  DAWN_NODE=/tmp/hip/dawn.node OUT=$out SHARED_DIR=/tmp/hip/shared \
  INSTATUNE_SECTIONS=$section INSTATUNE_SECONDS=$seconds INSTATUNE_PARTIAL=$out/instatune-$section.partial.json \
    timeout -k 5 $((seconds * 5 / 4 + 20)) /tmp/hip/node .carry/instatune.mjs 2>&1 | tee "$out/instatune-$section.log" | cut -c1-300
  echo "$section: $(($(date +%s) - started)) s"
done
