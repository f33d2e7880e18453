#!/usr/bin/env bash
# The tests that OpenAI's client of PyPI ships, against a server: those of chat completions, completions, embeddings and models.
#
# npx @hip/llm serve --model … --name NAME --embedder … --context 160; openai_suite.sh http://127.0.0.1:8080/v1 NAME ENCODER
set -euo pipefail
base_url=$1 model=$2 encoder=$3 version=${4:-3.57.0}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install -q "openai[aiohttp]==$version" pytest pytest-asyncio pytest-xdist rich inline-snapshot trio jsonschema
venv/bin/pip download -q "openai==$version" --no-binary openai --no-deps
tar xzf "openai-$version.tar.gz"
cd "openai-$version"
cases=(tests/api_resources/{chat/test_completions,test_completions,test_embeddings,test_models}.py)
# The server's names in place of OpenAI's, and values that the API takes in place of examples that it refuses.
sed -i -E "s/\"(gpt-6-astra|gpt-3.5-turbo-instruct|gpt-4o-mini)\"/\"$model\"/; s/\"text-embedding-3-small\"/\"$encoder\"/" "${cases[@]}"
sed -i 's/logit_bias={"foo": 0}/logit_bias={"5": 0}/; s/best_of=0/best_of=1/; s/suffix="test\."/suffix=""/; s/dimensions=1,/dimensions=384,/' "${cases[@]}"
# A local server keeps no completions and has no models to delete.
TEST_API_BASE_URL=$base_url ../venv/bin/python -m pytest -q -n0 -p no:cacheprovider "${cases[@]}" \
  -k 'Models and not delete or not Models and not (retrieve or delete or update or list)'
