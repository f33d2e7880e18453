import { memoryFiles, openCheckpoint, findFamily } from '@hip/checkpoints';
import { SHAPES } from '../../benchmarks/device/llm/shapes.ts';
import { layerShapes } from './src/engine/layers.ts';
import { resolveOptions } from './src/engine/options.ts';
import { planWebgpu } from './src/engine/webgpu/plan.ts';
import { planModelPool, DEFAULT_LIMITS } from '@hip/kernels-webgpu';
import { modelLayers } from './src/engine/webgpu/layers.ts';
import { poolOptions } from './src/engine/webgpu/plan.ts';
const limits = {
  ...DEFAULT_LIMITS,
  maxStorageBufferBindingSize: 2 ** 32 - 4,
  maxBufferSize: 2 ** 40,
  maxComputeWorkgroupStorageSize: 49152,
  maxStorageBuffersPerShaderStage: 16,
  maxComputeInvocationsPerWorkgroup: 1024,
  maxComputeWorkgroupSizeX: 1024,
};
const profile = {
  tier: 'subgroup-matrix',
  shaderF16: true,
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  timestamps: true,
} as never;
const g = (x: number) => +(x / 1e9).toFixed(3);
for (const [name, opts, bytes] of [
  ['qwen3-0.6b', { contextTokens: 32768 + 512 }, 1.192e9],
  ['smollm2-135m', { contextTokens: 1048576 + 256, cacheTokens: 1048832, offload: { tokens: 65536 } }, 0.269e9],
  ['smollm2-135m', { contextTokens: 1048576 + 256, cacheTokens: 1048832, offload: { tokens: 49152 } }, 0.269e9],
] as const) {
  const raw = SHAPES[name]!;
  const config = findFamily(raw).readConfig(raw);
  const shapes = layerShapes(config);
  const options = resolveOptions(opts as never, config, 'webgpu');
  const layers = modelLayers(config, shapes, options.attention);
  const pool = planModelPool({ ...poolOptions(options, layers), chunkTokens: options.rows }, { limits, profile });
  const plan = planWebgpu(
    config,
    shapes,
    options,
    { matrices: [], vectors: [], bytes: 0 } as never,
    { limits, profile } as never,
  );
  console.log(
    name,
    JSON.stringify(opts),
    'rows',
    options.rows,
    'pages',
    g(pool.pages),
    'session',
    g(pool.perSession),
    'chunk',
    g(pool.chunk),
    'scratch',
    g(plan.scratch),
    'total',
    g(plan.total + bytes),
  );
}
