// The soak in its short form: every answer of a server right or a typed error, and nothing held when it is over.
import { createChatTemplate } from '@hip/checkpoints';
import { loadLanguageModel } from '@hip/llm';
import { createServer } from '@hip/llm/serve';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { soak } from '../src/serve-soak/soak.ts';

it('60 requests of all kinds', async () => {
  const template = await createChatTemplate('{% for m in messages %}{{ m.content }}\n{% endfor %}');
  using model = await loadLanguageModel(join(import.meta.dirname, '../../apps/demo/model'), {
    template,
    threads: 1,
    contextTokens: 512,
  });
  const server = createServer(model, { names: ['tiny'], slots: 4, queue: 6, cacheTokens: 2048 });
  const { url } = await server.listen({ port: 0 });
  const options = { baseURL: `${url}/v1`, model: 'tiny', requests: 60, clients: 12, seed: 3, samples: 2 };
  const { outcomes, notes, samples } = await soak({ ...options, rssMiB: async () => 0, log: () => {} });
  expect(notes).toEqual([]);
  expect(outcomes).toMatchObject({ wrong: 0, untyped: 0 });
  expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(60);
  for (const kind of ['right', 'refused', 'aborted', 'dropped'] as const) expect(outcomes[kind]).toBeGreaterThan(0);
  expect(samples.every(({ running, waiting }) => running === 0 && waiting === 0)).toBe(true);
  await server.close();
  expect(model.memory.cache).toBe(0);
});
