// A sub-network of SmolLM2 as people run it: @hip/llm over 8K tokens of a book, HiP beside dense attention and beside the whole model.
import { loadEngine, type Engine, type EngineOptions } from '@hip/llm';
import { sharedPath } from '@hip/testing';
import { distanceRow, perplexityRow } from '../llm-cpu/quality.ts';
import { ours, speedRows } from '../llm-cpu/speed.ts';
import { windowsOf } from '../quality-smollm2/windows.ts';

export interface LongContextOptions {
  /** Folder of the sub-network. */
  readonly checkpoint: string;
  readonly tokens: number;
  /** Windows whose perplexities are measured; 0: times alone. */
  readonly windows: number;
  readonly times: boolean;
  readonly emit: (row: Record<string, unknown>) => void;
  readonly log: (line: string) => void;
}

const ATTENTION: Readonly<Record<string, EngineOptions>> = {
  dense: { attention: 'dense' },
  // From so few keys on, not from where it pays on this machine.
  HiP: { attention: { denseBelow: 2048 } },
};
/** Tokens fed one by one after a prefill, and prefills of each. */
const STEPS = 24;
const REPEATS = 1;
/** Last tokens of a window whose distributions are compared. */
const COMPARED = 256;

/** Perplexity, distance from dense, prefill and token times. `ratio` of a perplexity row is against the whole model before it was fine-tuned. */
export async function studyLongContext({
  checkpoint,
  tokens,
  windows,
  times,
  emit,
  log,
}: LongContextOptions): Promise<void> {
  const whole = sharedPath('models', 'smollm2-135m-instruct', 'SmolLM2-135M-Instruct.Q4_1.gguf');
  const goldens = sharedPath('goldens', 'smollm2', 'books.safetensors');
  if (!whole || !goldens) throw new Error('needs ../shared/models/smollm2-135m-instruct and ../shared/goldens/smollm2');
  const all = await windowsOf(goldens);
  const say = (row: Record<string, unknown>): void => emit({ task: 'SmolLM2, long context', ...row });
  const engines = new Map<string, Engine>();
  try {
    for (const [attention, options] of Object.entries(ATTENTION)) {
      const placed = { threads: 2, contextTokens: tokens + STEPS, backend: 'wasm', ...options } as const;
      engines.set(`whole, ${attention}`, await loadEngine(whole, placed));
      engines.set(`sub-network, ${attention}`, await loadEngine(checkpoint, { ...placed, weights: 'q4' }));
    }
    for (const [name, { memory }] of engines) say({ part: 'memory', engine: name, weights: memory.weights });
    for (const window of all.slice(0, windows)) {
      // The whole model's is the golden's.
      for (const [name, engine] of [...engines].filter(([one]) => one.startsWith('sub-network'))) {
        say(await perplexityRow(name, engine, window, tokens));
        log(`${window.name}: ${name}`);
      }
      const of = (attention: string): Engine => engines.get(`sub-network, ${attention}`)!;
      say(await distanceRow('sub-network, HiP', { dense: of('dense'), engine: of('HiP') }, window, tokens, COMPARED));
    }
    if (!times) return;
    const candidates = [...engines].map(([name, engine]) => ours(name, engine));
    const ids = [...all[0]!.ids];
    for (const row of await speedRows(candidates, ids, [tokens - STEPS], { repeats: REPEATS, steps: STEPS, log }))
      say(row);
  } finally {
    for (const engine of engines.values()) engine.close();
  }
}
