// The demo's end: the exported sub-network on onnxruntime with HiP gives its own logits, and what does not is told.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadCheckpoint, smallestSubnet, type ElasticModel } from '@instatune/supernet';
import { runExported } from '../../src/pipeline/exported.ts';
import { newFolder, tinyCheckpoint } from '../helpers.ts';

const document = Int32Array.from({ length: 400 }, (_, i) => (i * 37) % 4096);
const { signal } = new AbortController();
let model: ElasticModel;

beforeAll(async () => {
  ({ model } = await loadCheckpoint(await tinyCheckpoint(newFolder())));
});
afterAll(() => model.dispose());

it('agrees over a prompt and the tokens after it', async () => {
  const out = newFolder();
  const { folder, bytes, tokens, difference } = await runExported(model, document, out, signal);
  expect(difference).toBeLessThan(1e-4);
  expect(tokens).toBe(196);
  expect(bytes).toBeGreaterThan(4096 * 32 * 4);
  expect(existsSync(join(out, folder, 'onnx/model.onnx'))).toBe(true);
});

it('refuses an export whose logits are others', async () => {
  const subnet = smallestSubnet(model.space);
  const other = Object.assign(Object.create(model) as ElasticModel, {
    forward: ((inputs, options) => model.forward(inputs, { ...options, subnet })) satisfies ElasticModel['forward'],
  });
  await expect(runExported(other, document, newFolder(), signal)).rejects.toMatchObject({ code: 'corrupt-checkpoint' });
});
