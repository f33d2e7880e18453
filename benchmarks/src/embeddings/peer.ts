// The peer: onnxruntime-node with the graph that exportOnnx writes, texts padded to the longest of their batch.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { exportOnnx, loadCheckpoint } from '@instatune/supernet';
import { startTfjs } from '../instatune/backend.ts';

/** Texts of a batch, as sentence-transformers has it. */
const BATCH = 32;

export interface Peer {
  /** Embeddings [texts, width], in the order of `ids`. */
  embed(ids: readonly (readonly number[])[], sorted: boolean): Promise<readonly Float32Array[]>;
  release(): Promise<void>;
}

/** @param width - numbers of an embedding */
export async function createPeer(folder: string, threads: number, width: number): Promise<Peer> {
  await startTfjs('wasm');
  const { model } = await loadCheckpoint(folder);
  const out = await mkdtemp(join(tmpdir(), 'embeddings-'));
  let session: ort.InferenceSession;
  try {
    const report = await exportOnnx(model, undefined, out);
    session = await ort.InferenceSession.create(await readFile(join(out, report.model)), {
      intraOpNumThreads: threads,
    });
  } finally {
    model.dispose();
    await rm(out, { recursive: true, force: true });
  }
  const names = session.inputNames;
  return {
    async embed(ids, sorted) {
      const order = ids.map((_, i) => i);
      if (sorted) order.sort((a, b) => ids[a]!.length - ids[b]!.length);
      const vectors: Float32Array[] = [];
      for (let at = 0; at < order.length; at += BATCH) {
        const texts = order.slice(at, at + BATCH);
        const longest = Math.max(...texts.map((i) => ids[i]!.length));
        const tokens = new BigInt64Array(texts.length * longest);
        const mask = new BigInt64Array(tokens.length);
        for (const [row, i] of texts.entries()) {
          for (const [column, id] of ids[i]!.entries()) {
            tokens[row * longest + column] = BigInt(id);
            mask[row * longest + column] = 1n;
          }
        }
        const dims = [texts.length, longest];
        const feeds: Record<string, ort.Tensor> = {
          input_ids: new ort.Tensor('int64', tokens, dims),
          attention_mask: new ort.Tensor('int64', mask, dims),
          token_type_ids: new ort.Tensor('int64', new BigInt64Array(tokens.length), dims),
        };
        const outputs = await session.run(Object.fromEntries(names.map((name) => [name, feeds[name]!])));
        const values = outputs['sentence_embedding']!.data as Float32Array;
        for (const [row, i] of texts.entries()) vectors[i] = values.slice(row * width, (row + 1) * width);
      }
      return vectors;
    },
    release: () => session.release(),
  };
}
