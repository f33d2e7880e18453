#!/usr/bin/env bash
# Everything that a lease needs, made on this machine in one go: bash benchmarks/device/lease.sh prepare [GPUS SECONDS]
# .carry-parts/1 holds Node, Dawn and the bundle, .carry-parts/2… weights and data by the order in which studies begin (64 MiB a call, the working
# tree included), .gl the loaders of Vulkan; git ignores them. Then the calls to send, a line of JSON each, and how long it took.
set -eu
gpus=${1:-1} seconds=${2:-1640}
begun=$(date +%s)
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
shared=$(cd "${SHARED_DIR:-$root/../shared}" && pwd) || { echo "no ../shared: set SHARED_DIR" >&2; exit 1; }
for tool in git tar xz python3 dpkg-deb split; do
  command -v "$tool" >/dev/null || { echo "$tool is not installed: apt-get install ${tool/dpkg-deb/dpkg}" >&2; exit 1; }
done
exclude=$(git rev-parse --git-path info/exclude); mkdir -p "$(dirname "$exclude")"
for name in .carry .carry-parts .gl; do grep -qx "/$name/" "$exclude" 2>/dev/null || echo "/$name/" >>"$exclude"; done

if ! ls .gl/libvulkan1_*.deb >/dev/null 2>&1; then
  lists=$(mktemp -d); mkdir -p .gl "$lists/partial"
  options="-oAPT::Architecture=amd64 -oAPT::Architectures=amd64 -oDir::State::Lists=$lists"
  # shellcheck disable=SC2086
  { apt-get -q $options update && (cd .gl && apt-get -q $options download libvulkan1 libegl1 libglvnd0 libopengl0 libgl1 libglx0 libgles2); } >"$lists/log" 2>&1 \
    || { cat "$lists/log" >&2; exit 1; }
  rm -rf "$lists"
fi

node=$(node scripts/run.mjs exec node -p process.execPath)
rm -rf .carry-parts
PACK_TO=.carry-parts/1 "$node" benchmarks/device/pack.mjs runtime
PACK_TO=.carry-parts/1 "$node" --disable-warning=ExperimentalWarning benchmarks/device/pack-instatune.ts bundle
xz -4 .carry-parts/1/instatune.mjs
# As an archive: each file costs up to a kilobyte beside its bytes, and there are thousands.
tree=$(git ls-files -z --cached --others --exclude-standard | tar c --null -T - | wc -c)
limit=$((64 * 1024 * 1024 - 600000))
CALL=$((limit - tree)) bash benchmarks/device/pack-parts.sh

lease="bash benchmarks/device/lease.sh"
call() { # COMMAND TIMEOUT CARRIED…
  local bytes carried; bytes=$(tar c "${@:3}" 2>/dev/null | wc -c)
  carried=$(printf '"%s",' "${@:3}")
  [ $# -gt 2 ] || { bytes=0 carried=; }
  [ $((tree + bytes)) -lt $((limit + 300000)) ] || { echo "$((tree + bytes)) bytes in one call, $limit at most: $*" >&2; exit 1; }
  printf '{"command":"%s","timeout_s":%s,"carry":[%s]}  # %d MB with the tree\n' "$1" "$2" "${carried%,}" $(((tree + bytes) / 1000000))
}
echo; echo "$(($(date +%s) - begun)) s. Calls of the device tool, one after another without a pause:"
call "$lease begin $gpus $seconds" 300 .carry-parts/1 .gl
for part in $(ls .carry-parts | sort -n | sed 1d); do call "$lease take; $lease look" 300 ".carry-parts/$part"; done
call "$lease wait 45; $lease look" 120
for _ in 1 2 3; do call "$lease wait 540; $lease bring" 600; done
