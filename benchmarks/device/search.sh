#!/bin/bash
# On a machine without a network: bash search.sh OUT [LANES] [OPTION...], in the folder that pack-search.ts filled; the options are those of
# search-jobs.py. Results are one file a run in OUT; node.xz is sought here and in .carry*/ beside.
set -u
here=$(cd "$(dirname "$0")" && pwd)
out=$1 lanes=${2:-20}
shift; shift
mkdir -p "$out"
echo $$ >"$out/pid"
work=$(mktemp -d)
if [ -z "${NODE:-}" ]; then
  xz=$(ls "$here"/node.xz "$here"/../.carry*/node.xz 2>/dev/null | head -1)
  python3 -c 'import lzma,shutil,sys; shutil.copyfileobj(lzma.open(sys.argv[1]), open(sys.argv[2], "wb"))' "$xz" "$work/node"
  chmod +x "$work/node"
  export NODE=$work/node
fi
if ls "$here"/whl/*.whl >/dev/null 2>&1 && [ -z "${PYTHON:-}" ]; then
  python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --upgrade --target "$work/site" "$here"/whl/*.whl || exit 1
  export PYTHONPATH=$work/site
fi
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMEXPR_NUM_THREADS=1 SHARED_DIR=$here/shared CUDA_VISIBLE_DEVICES=
exec nice -n 10 "${PYTHON:-python3}" "$here/search-jobs.py" "$here" "$out" "$lanes" "$@"
