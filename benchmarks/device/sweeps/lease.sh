#!/usr/bin/env bash
# Sweeps side by side on a device machine, in the background: lease.sh SHARED FOLDER; rows in FOLDER/*.jsonl. Recipes that are tried: below.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
shared=$1 to=$2
mkdir -p "$to"; cp "$here"/*.py "$to/"; cd "$to"
export XLA_PYTHON_CLIENT_PREALLOCATE=false DATA=data.npz MODEL=$shared/models/minilm-l6/model.safetensors STAGE=1 STUDENTS='[]'
# Three seeds of each.
seeds() { python3 -c 'import json,sys; print(json.dumps([{**g, "seed": s} for g in json.loads(sys.argv[1]) for s in range(3)]))' "$1"; }
python3 prepare.py "$shared" >prepare.log 2>&1
LANES=$(seeds '[{"lr":4e-4,"ld":0.65,"mean":0,"mask":0.1},{"lr":4e-4,"ld":0.65,"mean":0,"smooth":0.1},{"lr":6e-4,"ld":0.6,"mean":0}]') \
  setsid nohup python3 sst2.py sst2.jsonl 64 4 1 >sst2.log 2>&1 &
LANES=$(seeds '[{"lr":4e-4,"ld":0.65,"mean":0,"rdrop":1}]') setsid nohup python3 sst2.py rdrop.jsonl 64 4 1 >rdrop.log 2>&1 &
E='"l":6,"h":12,"aug":2,"kl":0'
LANES="[{$E,\"f\":600,\"lr\":4e-4,\"hid\":3},{$E,\"f\":600,\"lr\":4e-4,\"hid\":10},{$E,\"f\":600,\"lr\":4e-4,\"hid\":30},{$E,\"f\":600,\"lr\":8e-4,\"hid\":10},
  {$E,\"f\":[400,480,560,640,720,800],\"lr\":4e-4,\"hid\":10},{$E,\"f\":[800,720,640,560,480,400],\"lr\":4e-4,\"hid\":10}]" \
  setsid nohup python3 embeddings.py embeddings.jsonl 128 1500 >embeddings.log 2>&1 &
