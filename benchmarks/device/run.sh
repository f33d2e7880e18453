#!/bin/bash
# On the device machine, in the repository root: bash benchmarks/device/run.sh [SECTION…]. Carry .gl and the files of
# benchmarks/device/pack.mjs. OUT is where results go; SECONDS_EACH limits a section; TORCH=0 skips PyTorch, TINY=1 is a rehearsal.
set -u
cd "$(dirname "$0")/../.."
OUT=${OUT:-/tmp/out}
mkdir -p "$OUT"
work=$(mktemp -d)
if ! ldconfig -p | grep -q libvulkan.so.1 && [ "${TINY:-0}" != 1 ]; then
  for file in .gl/*.deb; do dpkg -x "$file" /; done
  ldconfig
  icd=/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json
  [ -f "$icd" ] && export VK_DRIVER_FILES=$icd
fi
unpack() { if command -v xz >/dev/null; then xz -dc "$1" >"$2"; else python3 -c 'import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' "$1" "$2"; fi; }
unpack .carry/node.xz "$work/node" & unpack .carry/dawn.node.xz "$work/dawn.node" &
if [ -f .carry/ort.tar.xz ]; then unpack .carry/ort.tar.xz "$work/ort.tar" && tar -C "$work" -xf "$work/ort.tar"; fi &
wait
chmod +x "$work/node"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm --format=csv 2>/dev/null
tiny=''
[ "${TINY:-0}" = 1 ] && tiny=--tiny
# shellcheck disable=SC2086
ORT_DIST=$work timeout "${TOTAL:-500}" "$work/node" .carry/webgpu.mjs --dawn "$work/dawn.node" --out "$OUT/webgpu.json" --seconds "${SECONDS_EACH:-45}" --features "${FEATURES:-allow_unsafe_apis,vulkan_enable_f16_on_nvidia}" $tiny "$@" 2>&1 | tee "$OUT/webgpu.log" | cut -c1-600
if [ "${TORCH:-1}" = 1 ]; then timeout "${TORCH_SECONDS:-90}" python3 benchmarks/device/torch_attention.py "$OUT/torch.json" 70 2>&1 | tail -30; fi
rm -rf "$work"
