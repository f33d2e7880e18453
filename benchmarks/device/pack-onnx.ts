// Bundles benchmarks/device/onnx.ts into a folder: node benchmarks/device/pack-onnx.ts FOLDER. Beside it go Node, Dawn and onnxruntime-web, which pack.mjs compresses.
import { join } from 'node:path';
import { rolldown } from 'rolldown';

const folder = process.argv[2] ?? join(import.meta.dirname, '../../.carry');
// Optional peers of what is bundled, asked for at run time only.
const absent = /^(@tensorflow\/tfjs-backend-wasm|sharp|onnxruntime|@huggingface\/(hub|transformers)|node:)/;
const bundle = await rolldown({
  input: join(import.meta.dirname, 'onnx.ts'),
  platform: 'node',
  external: (id) => absent.test(id),
  resolve: { mainFields: ['module', 'main'] },
  logLevel: 'silent',
});
await bundle.write({ file: join(folder, 'onnx.mjs'), format: 'esm', codeSplitting: false, minify: true });
