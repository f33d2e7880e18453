// Fills .carry/ for benchmarks/device/run.sh: Node and Dawn compressed (once), the benchmark bundled (each time). node benchmarks/device/pack.mjs
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const carry = join(root, '.carry');
mkdirSync(carry, { recursive: true });
const dawn = join(dirname(createRequire(import.meta.url).resolve('webgpu')), 'dist/linux-x64/dawn.node');
for (const [source, target] of [
  [process.execPath, 'node.xz'],
  [dawn, 'dawn.node.xz'],
]) {
  const file = join(carry, target);
  if (!existsSync(file)) execFileSync('sh', ['-c', 'xz -T0 -6 -c "$0" > "$1"', source, file]);
  process.stdout.write(`.carry/${target} ${statSync(file).size}\n`);
}
const ort = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
if (!existsSync(join(carry, 'ort.tar.xz'))) {
  const files = [
    'ort.webgpu.bundle.min.mjs',
    'ort-wasm-simd-threaded.asyncify.mjs',
    'ort-wasm-simd-threaded.asyncify.wasm',
  ];
  execFileSync('sh', [
    '-c',
    'tar -C "$0" -c ' + files.join(' ') + ' | xz -T0 -6 > "$1"',
    ort,
    join(carry, 'ort.tar.xz'),
  ]);
}
process.stdout.write(`.carry/ort.tar.xz ${statSync(join(carry, 'ort.tar.xz')).size}\n`);
const bundle = await rolldown({ input: join(root, 'benchmarks/device/main.ts'), platform: 'node' });
await bundle.write({ file: join(carry, 'webgpu.mjs'), format: 'esm', codeSplitting: false, minify: true });
process.stdout.write(`.carry/webgpu.mjs ${statSync(join(carry, 'webgpu.mjs')).size}\n`);
