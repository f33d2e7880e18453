// Masked and sliced passes agree, extraction reproduces them, the largest setting is the pretrained model.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadCheckpoint } from '../../src/checkpoint/load.ts';
import { countParameters } from '../../src/elastic/cost.ts';
import { fullSubnet, sampleSubnet } from '../../src/elastic/subnets.ts';
import { extractSubnet } from '../../src/export/extract.ts';
import { extractModel } from '../../src/export/values.ts';
import { BACKENDS, useBackend } from '../helpers/backend.ts';
import { ENCODER_GOLDENS, GOLDENS, goldenPath, loadGolden, missingGolden } from '../helpers/golden.ts';

function randomFrom(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 16807) % 2147483647) / 2147483647;
}

describe.skipIf(missingGolden).each(BACKENDS)(`sub-networks on %s${missingGolden}`, (backend) => {
  beforeAll(() => useBackend(backend));

  it.each(backend === 'cpu' ? GOLDENS : [...GOLDENS, ...ENCODER_GOLDENS])('%s', async (name) => {
    const folder = goldenPath(name)!;
    const { inputs } = await loadGolden(folder);
    const { model } = await loadCheckpoint(folder);
    const run = async (options: Parameters<typeof model.forward>[1]) => model.forward(inputs, options).logits.data();
    const full = await run({});
    expect(await run({ subnet: fullSubnet(model.space) }), 'largest').toBeAllclose(full, { atol: 0, rtol: 0 });
    const random = randomFrom(7);
    // The cpu backend is slow: one round there.
    for (let round = 0; round < (backend === 'cpu' ? 1 : 3); round++) {
      const subnet = sampleSubnet(model.space, random);
      const sliced = await run({ subnet });
      expect(await run({ subnet, mode: 'masked' }), 'masked').toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      expect(sliced).not.toEqual(full);
      const extracted = await extractModel(model, subnet);
      const alone = extracted.forward(inputs).logits;
      expect(await alone.data(), 'extracted').toBeAllclose(sliced, { atol: 1e-5, rtol: 0 });
      const values = [...extracted.weights.values()].reduce((sum, weight) => sum + weight.size, 0);
      expect(values).toBe(countParameters(model.config, subnet));
      extracted.dispose();
      const out = await mkdtemp(join(tmpdir(), 'supernet-'));
      try {
        const report = await extractSubnet(model, subnet, out, { maxShardBytes: round === 1 ? 100_000 : 5e9 });
        expect(report.parameters).toBe(values);
        const again = await loadCheckpoint(out);
        expect(await again.model.forward(inputs).logits.data(), 'reloaded').toBeAllclose(sliced, {
          atol: 1e-5,
          rtol: 0,
        });
        again.model.dispose();
      } finally {
        await rm(out, { recursive: true });
      }
    }
    model.dispose();
  });
});
