# What lease.sh runs: recipes, and for one, two or four GPUs the chains of studies by priority. Sourced. TINY=1: one or two steps of each; CHECK=1: every stage of
# each for some steps at the real batch sizes, all side by side, in two minutes of one GPU.

L='"labels":{"batchSize":64,"dropout":{"hidden":0.1,"attention":0.1,"classifier":0.1},"average":{"decay":0.999},"optimizer":{"weightDecay":0.01,"layerDecay":0.65},"schedule":{"kind":"linear","warmup":0.08}}'
# 3,690 plain steps of 64 are 4.1 of 900.
SST2="{$L,\"steps\":900,\"plain\":[{\"rate\":2,\"steps\":4.1}],\"evaluations\":80,\"tune\":[{\"share\":0.6,\"steps\":2400,\"rate\":1},{\"share\":0.4,\"steps\":2400,\"rate\":1}]}"
# As many steps as its time allows: the clock says how many. Hidden states weigh 30 times as much as the embedding (.674 of the neighbours at 3, .685 at 30 after
# 1,500 steps of sweeps/embeddings.py), and every second text has words replaced.
EMB='{"steps":0,"tune":30000,"learningRate":0.0006,"hiddenStates":30,"pieces":400000,"similarities":0,"reportsAll":false,"prefixes":[],"direct":[{"layers":6,"heads":12,"ffn":600}],"space":{"layers":[3,6],"heads":[12],"ffn":[344,600,1536],"hidden":[384]}}'
# 4,096 tokens a step in windows of 1,024: networks distilled on windows of 256 forget long texts.
W='"window":1024,"batchSize":4,"answers":0'
SMOL="{$W,\"reconstruct\":64,\"steps\":180,\"plain\":[{\"rate\":0.666667,\"steps\":1.36}],\"tune\":[{\"share\":0.75,\"steps\":2000,\"rate\":1},{\"share\":0.6,\"steps\":2000,\"rate\":1}],\"evaluations\":40}"
# The first 22 layers, distilled by themselves for as many tokens as a sub-network has seen, super-network and all; from the plain network of the study it is held
# against (the same folder of kept trainings), and in one step of a "super-network".
DEPTH="{$W,\"steps\":1,\"plain\":[{\"rate\":0.666667,\"steps\":245}],\"superRate\":1.01,\"skip\":null,\"space\":{\"layers\":[22,30],\"heads\":[9],\"ffn\":[1536]},\"shares\":[0.75],\"tune\":[{\"share\":0.75,\"steps\":2180,\"rate\":1}],\"evaluations\":2}"
CIFAR='{"steps":1800,"distilledSteps":500,"plain":[{"rate":0.333333,"steps":0.066}],"tactics":["linas"],"evaluations":100,"tune":[{"share":0.6,"steps":1500,"rate":1.5},{"share":0.4,"steps":2500,"rate":1.5}],"shares":[0.6,0.4]}'
TYPESCRIPT="{$W,\"reconstruct\":64,\"steps\":120,\"plain\":[{\"rate\":0.666667,\"steps\":1.5}],\"tune\":[{\"share\":0.75,\"steps\":600,\"rate\":1},{\"share\":0.6,\"steps\":800,\"rate\":1}],\"evaluations\":24}"
TYPESCRIPT_DEPTH="${DEPTH/245/180}"; TYPESCRIPT_DEPTH="${TYPESCRIPT_DEPTH/2180/720}"
if [ -n "${TINY:-}" ]; then
  TUNE='"tune":[{"share":0.6,"steps":1,"rate":1}]'
  SST2="{\"steps\":4,\"batchSize\":2,\"labels\":{\"batchSize\":2,\"dropout\":{\"hidden\":0.1,\"attention\":0.1,\"classifier\":0.1},\"average\":{\"decay\":0.999},\"optimizer\":{\"weightDecay\":0.01,\"layerDecay\":0.65}},\"plain\":[{\"rate\":2,\"steps\":1}],\"evaluations\":2,$TUNE}"
  EMB='{"steps":0,"tune":4,"batchSize":2,"texts":12,"pieces":4,"hiddenStates":3,"similarities":0,"calibration":4,"reportsAll":false,"prefixes":[],"direct":[{"layers":6,"heads":12,"ffn":600}],"space":{"layers":[3,6],"heads":[12],"ffn":[344,600,1536],"hidden":[384]}}'
  W="\"window\":${TINY_WINDOW:-1024},\"batchSize\":1,\"answers\":0"
  SMOL="{$W,\"steps\":1,\"plain\":[{\"rate\":0.666667,\"steps\":1}],\"tune\":[],\"evaluations\":1,\"skip\":null}"
  DEPTH="{$W,\"steps\":1,\"plain\":[{\"rate\":0.666667,\"steps\":1}],\"superRate\":1.01,\"skip\":null,\"space\":{\"layers\":[22,30],\"heads\":[9],\"ffn\":[1536]},\"shares\":[0.75],\"tune\":[{\"share\":0.75,\"steps\":1,\"rate\":1}],\"evaluations\":1}"
  TYPESCRIPT="$SMOL" TYPESCRIPT_DEPTH="$DEPTH"
  CIFAR="{\"steps\":4,\"batchSize\":2,\"distilledSteps\":1,\"plain\":[{\"rate\":0.33,\"steps\":0.5}],\"tactics\":[\"linas\"],\"evaluations\":2,$TUNE}"
fi

if [ -n "${CHECK:-}" ]; then
  SST2="{$L,\"steps\":60,\"plain\":[{\"rate\":2,\"steps\":5}],\"evaluations\":8,\"tune\":[{\"share\":0.6,\"steps\":60,\"rate\":1}]}"
  EMB="${EMB/30000/300}"
  SMOL="{$W,\"reconstruct\":8,\"steps\":16,\"plain\":[{\"rate\":0.666667,\"steps\":1}],\"tune\":[{\"share\":0.75,\"steps\":16,\"rate\":1}],\"evaluations\":3}"
  CIFAR='{"steps":60,"distilledSteps":40,"plain":[{"rate":0.333333,"steps":1}],"tactics":["linas"],"evaluations":6,"tune":[{"share":0.4,"steps":60,"rate":1.5}],"shares":[0.6,0.4]}'
fi

# GPU CHAIN STUDY SECTION SEED SECONDS (0: until the end) RECIPE KEPT (folder of its trainings)
jobs_of() {
  if [ -n "${CHECK:-}" ]; then cat <<J
0 a sst2-0 sst2-minilm 0 0 SST2 sst2-0
0 b emb-600 embeddings 0 0 EMB emb-600
0 c books smollm2-books 0 0 SMOL books
0 d cifar-0 cifar10 0 0 CIFAR cifar-0
J
  elif [ "$1" -ge 4 ]; then cat <<J
0 a sst2-0 sst2-minilm 0 0 SST2 sst2-0
0 b sst2-1 sst2-minilm 1 0 SST2 sst2-1
0 c sst2-2 sst2-minilm 2 0 SST2 sst2-2
1 d cifar-0 cifar10 0 0 CIFAR cifar-0
1 e cifar-1 cifar10 1 0 CIFAR cifar-1
1 f cifar-2 cifar10 2 0 CIFAR cifar-2
2 g books smollm2-books 0 0 SMOL books
3 h books-depth smollm2-books 0 0 DEPTH books
3 i emb-600 embeddings 0 0 EMB emb-600
3 j typescript smollm2-typescript 0 0 TYPESCRIPT typescript
J
  elif [ "$1" -ge 2 ]; then cat <<J
0 a sst2-0 sst2-minilm 0 0 SST2 sst2-0
0 b sst2-1 sst2-minilm 1 0 SST2 sst2-1
0 c sst2-2 sst2-minilm 2 0 SST2 sst2-2
1 e books smollm2-books 0 0 SMOL books
1 f typescript smollm2-typescript 0 0 TYPESCRIPT typescript
1 f typescript-depth smollm2-typescript 0 0 TYPESCRIPT_DEPTH typescript
J
  else cat <<J
0 a sst2-0 sst2-minilm 0 760 SST2 sst2-0
0 b sst2-1 sst2-minilm 1 760 SST2 sst2-1
0 c sst2-2 sst2-minilm 2 760 SST2 sst2-2
0 a books smollm2-books 0 0 SMOL books
0 b typescript smollm2-typescript 0 540 TYPESCRIPT typescript
0 b typescript-depth smollm2-typescript 0 0 TYPESCRIPT_DEPTH typescript
J
  fi
}
