// Who may import whom. The README's table and the test over manifests and imports both come from here.

/**
 * `internal`: workspace packages its source may import, `entries`: of these only those entries. `external`: registry packages it may depend on, `any` for no rule.
 * tfjs is a peer dependency everywhere.
 */
export const ARCHITECTURE = {
  '@hip/mask-search': {
    what: 'the algorithm reference: configuration, search, block masks, baselines, float64 attention, metrics',
    internal: [],
    external: [],
  },
  '@hip/checkpoints': {
    what: 'a pretrained transformer as files: safetensors, GGUF, config, tokenizer, chat template; from a folder, HTTP, the Hub, a cache',
    internal: [],
    external: ['valibot', '@huggingface/', '@petamoriken/float16'],
  },
  '@hip/kernels-cpu': {
    what: 'the same, fast, on WebAssembly SIMD and threads; `/tfjs` registers it with tfjs',
    internal: ['@hip/mask-search'],
    external: ['@tensorflow/'],
  },
  '@hip/kernels-webgpu': {
    what: 'the same on WebGPU: plan → WGSL → dispatch; `/tfjs` registers it with tfjs',
    internal: ['@hip/mask-search'],
    external: ['@tensorflow/', '@petamoriken/float16'],
  },
  '@hip/attention': {
    what: 'the door: one function for tfjs tensors, a KV cache, the choice of backend and of dense',
    internal: ['@hip/mask-search', '@hip/kernels-cpu', '@hip/kernels-webgpu'],
    external: ['@tensorflow/'],
  },
  '@hip/llm': {
    what: 'a decoder language model, whole: weights as stored, a paged cache, sparse attention, chat; `/serve` answers clients of the OpenAI API',
    internal: ['@hip/mask-search', '@hip/kernels-cpu', '@hip/kernels-webgpu', '@hip/checkpoints'],
    external: ['@eslint-community/regexpp', 'citty', 'hono', '@hono/node-server', 'valibot'],
  },
  '@hip/onnx': {
    what: 'HiP inside ONNX models: cut at their attention, pieces on onnxruntime, ours between; `/model` reads and writes them',
    internal: ['@hip/mask-search', '@hip/kernels-cpu', '@hip/kernels-webgpu'],
    external: [
      '@bufbuild/protobuf',
      '@petamoriken/float16',
      'onnxruntime-node',
      'onnxruntime-web',
      '@huggingface/transformers',
    ],
  },
  '@instatune/nsga2': {
    what: 'multi-objective evolutionary search, indicators, test problems',
    internal: [],
    external: [],
  },
  '@instatune/predictors': {
    what: 'ridge, SVR, Gaussian process, forests, stacking, cross-validation',
    internal: [],
    external: ['ml-matrix'],
  },
  '@instatune/supernet': {
    what: 'elastic transformers on tfjs, fine-tuning, exact MACs, extraction, ONNX',
    internal: ['@hip/checkpoints', '@hip/onnx'],
    // Reading and writing ONNX files; not the kernels and runtimes of the rest.
    entries: { '@hip/onnx': ['@hip/onnx/model'] },
    external: 'any',
  },
  '@instatune/search': {
    what: 'LINAS and other tactics, studies on disk, evaluators on threads and queues',
    internal: ['@instatune/nsga2', '@instatune/predictors'],
    external: 'any',
  },
  '@instatune/cli': {
    what: 'the command `instatune`: a checkpoint, data and a budget in, a smaller model out; searches and studies',
    internal: ['@hip/checkpoints', '@hip/kernels-cpu', '@hip/llm', '@instatune/supernet', '@instatune/search'],
    external: 'any',
  },
};

/** Sees the whole workspace: the composition, the figures, the guides. Nothing may import these. */
export const TOP = ['@hip/demo', '@hip/playground', '@hip/benchmarks', '@hip/docs', '@hip/scripts'];
/** For tests and benchmarks only. */
export const TESTING = '@hip/testing';

/** The registry or workspace package of an import specifier: `@a/b/c` → `@a/b`, `a/b` → `a`; relative and node: → undefined. */
export function packageOf(specifier) {
  if (/^(\.|\/|node:)/.test(specifier)) return undefined;
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

/** Why `name` may not import from `specifier`, an entry of a package that it may use; undefined where it may. */
export function entryViolation(name, specifier) {
  const entries = ARCHITECTURE[name]?.entries?.[packageOf(specifier)];
  return !entries || entries.includes(specifier)
    ? undefined
    : `${name} may import ${entries.join(', ')}, not ${specifier}`;
}

/** Why `name` may not use `used` (a package name), or undefined where it may. */
export function violation(name, used) {
  const rule = ARCHITECTURE[name];
  if (!rule || used === name) return undefined;
  const workspace = used in ARCHITECTURE || TOP.includes(used) || used === TESTING;
  if (workspace) {
    if (rule.internal.includes(used)) return undefined;
    return `${name} may import ${rule.internal.join(', ') || 'no other package of the workspace'}, not ${used}`;
  }
  if (
    rule.external === 'any' ||
    rule.external.some((allowed) => used === allowed || (allowed.endsWith('/') && used.startsWith(allowed)))
  ) {
    return undefined;
  }
  return `${name} may depend on ${rule.external.join(', ') || 'no registry package'}, not ${used}`;
}
