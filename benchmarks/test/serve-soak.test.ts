// The soak in its short form: every answer of a server right or a typed error, and nothing held when it is over.
import { createChatTemplate } from '@hip/checkpoints';
import { loadLanguageModel } from '@hip/llm';
import { createServer } from '@hip/llm/serve';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { growth } from '../src/serve-soak/growth.ts';
import { held } from '../src/serve-soak/held.ts';
import { arrivals } from '../src/serve-soak/schedule.ts';
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
  const bounds = { requests: 60, seconds: 1, clients: 8, burst: 0, seed: 3, every: 1 };
  const probe = async () => held();
  const result = await soak({ baseURL: `${url}/v1`, model: 'tiny', ...bounds, probe, log: () => {} });
  const { outcomes, notes, samples, latencies } = result;
  expect(notes).toEqual([]);
  expect(outcomes).toMatchObject({ wrong: 0, untyped: 0 });
  expect(result.busyOutsideBursts).toBe(outcomes.busy);
  expect(latencies).toHaveLength(outcomes.right);
  expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(60);
  for (const kind of ['right', 'refused', 'aborted', 'dropped'] as const) expect(outcomes[kind]).toBeGreaterThan(0);
  expect(samples.at(-1)).toMatchObject({ requests: 60, running: 0, waiting: 0, isCollected: true });
  expect(samples.at(-1)!.rss).toBeGreaterThan(0);
  await server.close();
  expect(model.memory.cache).toBe(0);
});

it('requests come over the whole time, in order, and in bursts where they shall', () => {
  const times = arrivals(1000, 600, 30, 1);
  expect(times).toHaveLength(1000);
  expect(times.filter(({ isBurst }) => isBurst)).toHaveLength(300);
  expect(new Set(times.filter(({ isBurst }) => isBurst).map(({ at }) => at)).size).toBe(10);
  expect(times.map(({ at }) => at)).toEqual(times.map(({ at }) => at).toSorted((a, b) => a - b));
  expect(times.filter(({ at }) => at < 300).length / 1000).toBeCloseTo(0.5, 1);
  expect(arrivals(50, 0, 0, 1).every(({ at, isBurst }) => at === 0 && !isBurst)).toBe(true);
});

it('a line through what grows tells how fast, and of noise that it may be none', () => {
  const points = Array.from({ length: 60 }, (_, i) => [30 * i, 200 + 0.1 * i + (i % 2)] as const);
  const grows = growth(points);
  expect(grows.perHour).toBeCloseTo(12, 0);
  expect(grows.error).toBeLessThan(2);
  const flat = growth(points.map(([at], i) => [at, 200 + ((i * 7) % 5)] as const));
  expect(Math.abs(flat.perHour)).toBeLessThan(flat.error);
});
