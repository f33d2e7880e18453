// Speculative decoding on two threads of the CPU: tokens a second with a draft and without, texts compared, how often both agree.
// HIP_SPECULATIVE_TOKENS: tokens of an answer; HIP_SPECULATIVE_MODELS: books, smollm2.
import { availableParallelism, loadavg } from 'node:os';
import { loadLanguageModel, type LanguageModel, type LoadOptions } from '@hip/llm';
import { sharedPath } from '@hip/testing';
import { median, type Benchmark } from './benchmark.ts';
import { windowsOf } from './quality-smollm2/windows.ts';
import { subnetDrafts } from './speculative/drafts.ts';

const PROMPT = 256;
/** Proposals at a time; undefined: as many as pay. */
const LENGTHS = [0, 2, 4, 7, undefined] as const;

interface Case {
  readonly model: string;
  readonly draftName: string;
  readonly folder: string;
  readonly draft: string;
  readonly options: LoadOptions;
  readonly prompt: readonly number[];
}

/** Share of a text's tokens that the draft finds likeliest, too. */
async function agreement(
  model: LanguageModel,
  draft: LanguageModel,
  prompt: readonly number[],
  text: readonly number[],
) {
  const sequence = draft.createSequence();
  await sequence.forward(prompt.slice(0, -1), { logits: 'none' });
  const rows = await sequence.forward([prompt.at(-1)!, ...text.slice(0, -1)], { logits: 'all' });
  sequence.dispose();
  const width = rows.length / text.length;
  const found = text.filter((id, row) => {
    const own = rows.subarray(row * width, (row + 1) * width);
    return own.indexOf(own.reduce((a, b) => Math.max(a, b))) === id;
  });
  return found.length / text.length;
}

async function caseRows(
  { model: name, draftName, folder, draft, options, prompt }: Case,
  tokens: number,
  repeats: number,
) {
  using small = await loadLanguageModel(draft, options);
  using model = await loadLanguageModel(folder, { ...options, draft: small });
  const times = new Map<string, { wall: number[]; cpu: number[] }>();
  let text: readonly number[] = [];
  for (let round = -1; round < repeats; round++) {
    for (const draftTokens of LENGTHS) {
      const [start, before] = [performance.now(), process.cpuUsage()];
      let first = 0;
      let firstCpu = before;
      const onToken = (): void => {
        if (first === 0) [first, firstCpu] = [performance.now(), process.cpuUsage()];
      };
      const ids = await model.generate(prompt, {
        maxTokens: tokens,
        temperature: 0,
        stopIds: [],
        draftTokens,
        onToken,
      });
      if (draftTokens === 0) text = ids;
      else if (ids.join() !== text.join()) throw new Error(`${name} with ${draftName} says something else`);
      const { user, system } = process.cpuUsage(firstCpu);
      const key = draftTokens === undefined ? 'as many as pay' : String(draftTokens);
      const own = times.get(key) ?? { wall: [], cpu: [] };
      times.set(key, own);
      if (round < 0) continue;
      own.wall.push(performance.now() - (first || start));
      own.cpu.push((user + system) / 1000);
    }
  }
  const agrees = await agreement(model, small, prompt, text);
  const plain = times.get('0')!;
  return Array.from(times, ([proposed, { wall, cpu }]) => ({
    model: name,
    draft: draftName,
    proposed,
    agreement: Number(agrees.toFixed(3)),
    tokensPerSecond: Number(((1000 * (tokens - 1)) / median(wall)).toFixed(1)),
    speed: Number((median(plain.wall) / median(wall)).toFixed(2)),
    cpuSpeed: Number((median(plain.cpu) / median(cpu)).toFixed(2)),
  }));
}

export const benchmark: Benchmark = {
  name: 'speculative',
  description: 'a draft’s proposals checked together: tokens a second with and without, on two threads',
  async run({ quick, log, signal }) {
    const smollm2 = sharedPath('models', 'smollm2-135m-instruct');
    const books = sharedPath('goldens', 'smollm2', 'books.safetensors');
    const [large, small] = [sharedPath('models', 'books-lm-14m'), sharedPath('models', 'books-lm-6m')];
    if (!smollm2 || !books || !large || !small) throw new Error('speculative needs ../shared (CONTRIBUTING.md)');
    const wanted = process.env['HIP_SPECULATIVE_MODELS']?.split(',') ?? ['books', 'smollm2'];
    const tokens = Number(process.env['HIP_SPECULATIVE_TOKENS'] ?? (quick ? 24 : 96));
    const threads = Math.min(2, availableParallelism());
    const repeats = quick ? 1 : 3;
    const common = { backend: 'wasm', threads, contextTokens: 1024 } as const;
    const [window] = await windowsOf(books);
    const gguf = `${smollm2}/SmolLM2-135M-Instruct.Q4_1.gguf`;
    const rows: Record<string, unknown>[] = [];
    const add = async (given: Case): Promise<void> => {
      signal.throwIfAborted();
      for (const row of await caseRows(given, tokens, repeats)) {
        rows.push(row);
        log(JSON.stringify(row));
      }
    };
    if (wanted.includes('books')) {
      using reader = await loadLanguageModel(small, common);
      using smol = await loadLanguageModel(gguf, common);
      const text = smol.tokenizer.decode([...window!.ids].slice(0, 600));
      const prompt = reader.tokenizer.encode(text).slice(0, PROMPT);
      for (const weights of ['f32', 'f16', 'q8'] as const) {
        const draftName = 'books-lm-6m';
        await add({
          model: `books-lm-14m, ${weights}`,
          draftName,
          folder: large,
          draft: small,
          options: { ...common, weights },
          prompt,
        });
      }
    }
    if (wanted.includes('smollm2')) {
      await using drafts = await subnetDrafts(gguf);
      const prompt = [...window!.ids].slice(0, PROMPT);
      for (const [draftName, draft] of Object.entries(drafts.folders)) {
        for (const weights of quick ? (['stored'] as const) : (['f32', 'f16', 'q4'] as const)) {
          await add({
            model: `SmolLM2-135M, ${weights}`,
            draftName,
            folder: gguf,
            draft,
            options: { ...common, weights },
            prompt,
          });
        }
      }
    }
    return { rows, environment: { threads, load: loadavg()[0], prompt: PROMPT, tokens } };
  },
};
