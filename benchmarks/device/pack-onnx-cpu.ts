// Packs benchmarks/device/onnx-cpu.ts with onnxruntime-node for Linux on x64 into a folder: node benchmarks/device/pack-onnx-cpu.ts [FOLDER].
// There: onnx-cpu.sh start, which returns at once, and onnx-cpu.sh collect. Node itself is pack.mjs's node.xz.
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createRequire } from 'node:module';
import { rolldown } from 'rolldown';

const folder = process.argv[2] ?? join(import.meta.dirname, '../../.carry-onnx-cpu');
mkdirSync(folder, { recursive: true });
// Optional peers of what is bundled, asked for at run time only.
const absent = /^(@tensorflow\/tfjs-backend-wasm|sharp|onnxruntime-(node|web)|@huggingface\/(hub|transformers)|node:)/;
const bundle = await rolldown({
  input: join(import.meta.dirname, 'onnx-cpu.ts'),
  platform: 'node',
  external: (id) => absent.test(id),
  resolve: { mainFields: ['module', 'main'] },
  logLevel: 'silent',
});
const work = mkdtempSync(join(tmpdir(), 'onnx-cpu-pack-'));
try {
  await bundle.write({ file: join(work, 'onnx-cpu.mjs'), format: 'esm', codeSplitting: false, minify: true });
  const runtime = dirname(realpathSync(createRequire(import.meta.url).resolve('onnxruntime-node/package.json')));
  const common = realpathSync(join(runtime, '../onnxruntime-common'));
  const modules = join(work, 'node_modules');
  for (const part of ['package.json', 'dist', 'bin/napi-v6/linux/x64']) {
    cpSync(join(runtime, part), join(modules, 'onnxruntime-node', part), { recursive: true, dereference: true });
  }
  for (const part of ['package.json', 'dist/cjs', 'dist/esm']) {
    cpSync(join(common, part), join(modules, 'onnxruntime-common', part), { recursive: true, dereference: true });
  }
  const target = join(folder, 'onnx-cpu.tar.xz');
  execFileSync('sh', ['-c', 'tar -C "$0" -c onnx-cpu.mjs node_modules | xz -T2 -7 > "$1"', work, target]);
  copyFileSync(join(import.meta.dirname, 'onnx-cpu.sh'), join(folder, 'onnx-cpu.sh'));
  process.stdout.write(`${target} ${statSync(target).size}\n`);
} finally {
  rmSync(work, { recursive: true });
}
