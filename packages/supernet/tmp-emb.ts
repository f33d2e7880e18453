import { readFileSync } from 'node:fs';
import * as tf from '@tensorflow/tfjs';
import { env, pipeline } from '@huggingface/transformers';
import { compareEmbeddings, embed, exportOnnx, loadCheckpoint, setUpTfjs, textDataset } from './src/index.ts';
await setUpTfjs({ backends: ['wasm'] });
Object.assign(env, { allowRemoteModels: false, localModelPath: '/tmp/te-onnx/', logLevel: 40 });
const book = (n: string) => [...new Set(readFileSync(`/work/shared/data/books/${n}.txt`, 'utf8').replace(/\s+/g, ' ').match(/[^.!?]+[.!?]+["”’')]*/g)!.map((s) => s.trim()).filter((s) => s.split(' ').length >= 4))];
const texts = book('herman-melville_moby-dick').filter((_, i) => i % 16 === 0);
const both: Record<string, Float32Array> = {};
for (const [name, path] of [['full', '/work/shared/models/minilm-l6'], ['small', '/tmp/te-emb']]) {
  const { model } = await loadCheckpoint(path);
  const r = await exportOnnx(model, undefined, `/tmp/te-onnx/${name}`);
  console.log(name, r.files);
  model.dispose();
  const extractor = await pipeline('feature-extraction', name!);
  const start = performance.now();
  const all: number[] = [];
  for (let i = 0; i < texts.length; i += 16) all.push(...((await extractor(texts.slice(i, i + 16), { pooling: 'mean', normalize: true })).data as Float32Array));
  both[name!] = Float32Array.from(all);
  console.log(name, 'by transformers.js', texts.length, ((performance.now() - start) / 1000).toFixed(1), 's');
  await extractor.dispose();
}
const { model, tokenizer } = await loadCheckpoint('/tmp/te-emb');
const data = textDataset(texts, tokenizer!, { maxTokens: 256 });
const ours = await embed(model, data, { batchSize: 32 });
console.log('largest difference', ours.reduce((m, v, i) => Math.max(m, Math.abs(v - both['small']![i]!)), 0));
console.log(await compareEmbeddings(model, data, { reference: both['full'], batchSize: 32 }));
process.exit();
