// From a file to a first token.
import { loadEngine } from '../../../packages/llm/src/engine/load.ts';
import { watchCompiler } from './compile.ts';
import { heldMiB, peakMiB, resetPeak, round, timed, type Surroundings } from './measure.ts';
import { randomIds, randomModel } from './shapes.ts';

/**
 * Writes the folders that other sections load. In a process of its own: what drawing the numbers takes (130 MiB) would count as the
 * host's part of loading them.
 */
export async function models({ tiny, add }: Surroundings): Promise<void> {
  const wanted = tiny ? (['tiny'] as const) : (['qwen3-0.6b', 'smollm2-135m'] as const);
  const folders = wanted.flatMap((shape) => [randomModel(shape, 'BF16'), randomModel(shape, 'F16')]);
  add({ what: 'models', folders });
}

/** A 1.2 GB file to its first token. */
export async function load(at: Surroundings): Promise<void> {
  const shape = at.tiny ? 'tiny' : 'qwen3-0.6b';
  const folder = randomModel(shape, 'BF16');
  const oneByOne = process.env['COMPILE'] === 'one by one';
  for (const weights of (process.env['LOAD'] ?? 'stored,f16,q4').split(',') as ('stored' | 'f16' | 'q4')[]) {
    globalThis.gc?.();
    const before = heldMiB();
    resetPeak();
    const device = await at.device();
    const compiled = watchCompiler(device, oneByOne);
    const { ms, value: engine } = await timed(() => loadEngine(folder, { device, weights, contextTokens: 4096 }));
    const shaders = [...compiled()];
    const first = await timed(() => engine.createSequence().candidates(randomIds(64, 500)));
    const peak = peakMiB();
    at.add({
      what: 'load',
      shape,
      weights,
      loadMs: round(ms),
      firstTokenMs: round(first.ms),
      totalMs: round(ms + first.ms),
      shaders: shaders.length,
      compileMs: round(Math.max(...shaders.map(({ to }) => to))),
      oneByOne,
      slowest: shaders
        .toSorted((a, b) => b.to - b.from - a.to + a.from)
        .slice(0, oneByOne ? 60 : 12)
        .map(({ label, length, from, to }) => `${label} #${length}: ${Math.round(from)}–${Math.round(to)}`),
      hostPeakMiB: round(peak),
      hostBeforeMiB: round(before),
    });
    engine.close();
    device.destroy();
  }
}
