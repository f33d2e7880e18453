// Node and Dawn compressed (once), and the benchmark of kernels bundled (each time), into .carry/, or the folder PACK_TO, for
// benchmarks/device/run.sh. node benchmarks/device/pack.mjs [runtime]: with `runtime` Node and Dawn alone.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const carry = resolve(root, process.env['PACK_TO'] ?? '.carry');
const only = process.argv[2];
mkdirSync(carry, { recursive: true });
const dawn = join(dirname(createRequire(import.meta.url).resolve('webgpu')), 'dist/linux-x64/dawn.node');

/** Runs a command whose output is a file; one that was interrupted leaves none. */
function make(name, command, ...args) {
  const file = join(carry, name);
  if (!existsSync(file)) {
    execFileSync('sh', ['-c', `${command} > "$0"`, `${file}.part`, ...args]);
    renameSync(`${file}.part`, file);
  }
  process.stdout.write(`${file} ${statSync(file).size}\n`);
}

make('node.xz', 'xz -T0 -4 -c "$1"', process.execPath);
make('dawn.node.xz', 'xz -T0 -4 -c "$1"', dawn);
if (only !== 'runtime') {
  const ort = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  const files = [
    'ort.webgpu.bundle.min.mjs',
    'ort-wasm-simd-threaded.asyncify.mjs',
    'ort-wasm-simd-threaded.asyncify.wasm',
  ];
  make('ort.tar.xz', `tar -C "$1" -c ${files.join(' ')} | xz -T0 -6`, ort);
  const bundle = await rolldown({ input: join(root, 'benchmarks/device/main.ts'), platform: 'node' });
  const file = join(carry, 'webgpu.mjs');
  await bundle.write({ file, format: 'esm', codeSplitting: false, minify: true });
  process.stdout.write(`${file} ${statSync(file).size}\n`);
}
