// What every public package.json and the files of the repository's front say about the project, from the one constant in the root.
import { readFileSync, globSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../toolchain.mjs';

/** What people search for; a package without words of its own is refused. */
export const KEYWORDS = {
  '@hip/mask-search': ['sparse attention', 'HiP attention', 'InfiniteHiP', 'top-k', 'long context', 'transformer'],
  '@hip/kernels-cpu': ['flash attention', 'sparse attention', 'WebAssembly', 'SIMD', 'KV cache', 'long context'],
  '@hip/kernels-webgpu': ['flash attention', 'sparse attention', 'WebGPU', 'WGSL', 'KV cache', 'long context'],
  '@hip/attention': ['attention', 'tfjs', 'KV cache', 'long context', 'transformer', 'sparse attention'],
  '@hip/checkpoints': ['safetensors', 'GGUF', 'Hugging Face', 'tokenizer', 'chat template', 'transformer'],
  '@hip/llm': ['language model', 'GGUF', 'chat', 'WebAssembly', 'long context', 'quantization'],
  '@hip/onnx': ['ONNX', 'onnxruntime', 'transformers.js', 'sparse attention', 'long context', 'WebGPU'],
  '@instatune/nsga2': [
    'NSGA-II',
    'NSGA-III',
    'multi-objective optimization',
    'evolutionary algorithm',
    'hypervolume',
    'Pareto',
  ],
  '@instatune/predictors': ['regression', 'Gaussian process', 'SVR', 'random forest', 'surrogate model'],
  '@instatune/search': [
    'neural architecture search',
    'LINAS',
    'hyperparameter optimization',
    'Pareto',
    'surrogate model',
  ],
  '@instatune/cli': [
    'fine-tuning',
    'model compression',
    'neural architecture search',
    'distillation',
    'Hugging Face',
    'ONNX',
  ],
  '@instatune/supernet': [
    'super-network',
    'neural architecture search',
    'fine-tuning',
    'distillation',
    'pruning',
    'tfjs',
  ],
};

/** Order of a manifest's fields; others follow as they were. */
const ORDER = [
  'name',
  'version',
  'description',
  'keywords',
  'homepage',
  'bugs',
  'license',
  'author',
  'funding',
  'repository',
];

/** The manifest with what follows from the root's; the same one if nothing does. */
export function filled(manifest, folder, root, repository) {
  const keywords = KEYWORDS[manifest.name];
  if (!keywords) throw new Error(`${manifest.name} has no keywords: add them to scripts/lib/package-manifests.mjs`);
  for (const name of ['description', 'engines'])
    if (!manifest[name]) throw new Error(`${folder}/package.json has no ${name}: write it`);
  const given = {
    ...manifest,
    keywords,
    homepage: repository.homepage,
    bugs: { url: repository.bugs },
    author: root.author,
    funding: root.funding,
    repository: { type: 'git', url: `git+${repository.url}.git`, directory: folder },
  };
  const first = ORDER.filter((name) => name in given);
  return Object.fromEntries([...new Set([...first, ...Object.keys(given)])].map((name) => [name, given[name]]));
}

/** Text with every address of this project on its site and its pages replaced by the one that is in force. */
export function withAddress(text, repository) {
  return text
    .replaceAll(/https:\/\/github\.com\/[\w.-]+\/hip-instatune(?=[/"'\s)#]|$)/g, repository.url)
    .replaceAll(/https:\/\/[\w-]+\.github\.io\/hip-instatune\//g, repository.homepage);
}

/** Files outside the packages that name the address. */
export const FRONT = ['CITATION.cff', '.github/ISSUE_TEMPLATE/config.yml'];

/** Every file that is written from the root's constant, as it is and as it should be. */
export function manifestFiles(root, repository) {
  const packages = globSync('packages/*/package.json', { cwd: ROOT }).sort();
  const manifests = packages.flatMap((path) => {
    const now = readFileSync(join(ROOT, path), 'utf8');
    const manifest = JSON.parse(now);
    if (manifest.private) return [];
    const folder = path.replaceAll('\\', '/').replace('/package.json', '');
    return [{ path, now, should: `${JSON.stringify(filled(manifest, folder, root, repository), null, 2)}\n` }];
  });
  const front = FRONT.map((path) => {
    const now = readFileSync(join(ROOT, path), 'utf8');
    return { path, now, should: withAddress(now, repository) };
  });
  return [...manifests, ...front];
}
