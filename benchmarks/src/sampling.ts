// What choosing a token costs with the largest vocabularies in use (Qwen's 151,936), against greedy: alone, and as part of a decoded token.
import { findFamily, weightSlots } from '@hip/checkpoints';
import { createSampler, type SamplingOptions } from '@hip/checkpoints/generation';
import { generate, TransformerModel, type ElasticModel } from '@instatune/supernet';
import { interleave, median, type Benchmark } from './benchmark.ts';
import { startBackend } from './instatune/backend.ts';

const VOCABULARY = 151_936;
/** Logit vectors of one timed run. */
const TOKENS = 8;

const SETTINGS: Readonly<Record<string, SamplingOptions>> = {
  greedy: {},
  'temperature 1': { temperature: 1 },
  'temperature 0.3': { temperature: 0.3 },
  'top-k 50': { temperature: 1, topK: 50 },
  'top-k 50, top-p 0.9': { temperature: 0.7, topK: 50, topP: 0.9 },
  'top-k 1000': { temperature: 1, topK: 1000 },
  'min-p 0.05': { temperature: 1, minP: 0.05 },
  'top-p 0.9': { temperature: 1, topP: 0.9 },
};

/** Logits as language models give them are near to normal; the wider, the surer the model. */
const SPREADS = { unsure: 0.5, sure: 3 } as const;

export const benchmark: Benchmark = {
  name: 'sampling',
  description: 'milliseconds a token of greedy and of every way to sample, at 151,936 tokens',
  async run({ quick, log, signal }) {
    const repeats = quick ? 5 : 41;
    const rows: Record<string, unknown>[] = [];
    const add = (what: string, times: Record<string, number[]>, tokens: number): void => {
      const greedy = median(times['greedy']!) / tokens;
      for (const [setting, list] of Object.entries(times)) {
        const ms = median(list) / tokens;
        rows.push({
          what,
          vocabulary: VOCABULARY,
          setting,
          msPerToken: Number(ms.toFixed(4)),
          againstGreedy: Number((ms / greedy).toFixed(3)),
        });
        log(`${what}, ${setting}: ${ms.toFixed(3)} ms a token, ${(ms / greedy).toFixed(2)} of greedy`);
      }
    };
    for (const [name, spread] of Object.entries(SPREADS)) {
      signal.throwIfAborted();
      const logits = Array.from({ length: TOKENS }, (_, i) => normal(VOCABULARY, spread, i + 1));
      const candidates = Object.entries(SETTINGS).map(([setting, options]) => {
        const choose = createSampler(options);
        return [setting, () => logits.forEach((values) => choose(values))] as const;
      });
      add(`choice, ${name}`, await interleave(Object.fromEntries(candidates), { repeats, warmup: 3 }), TOKENS);
    }
    const environment = await startBackend('wasm');
    const model = smallModel();
    const decode = Object.entries(SETTINGS).map(([setting, options]) => {
      const run = () => generate(model, [1, 2, 3], { ...options, maxTokens: TOKENS, stopIds: [], signal });
      return [setting, run] as const;
    });
    add('generate, a model of 64 features', await interleave(Object.fromEntries(decode), { repeats }), TOKENS);
    model.dispose();
    return { rows, environment: { ...environment, timed: `${TOKENS} tokens a run` } };
  },
};

/** Two layers of 64 features: next to nothing beside the vocabulary. */
function smallModel(): ElasticModel {
  const raw = {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: 64,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 128,
    vocab_size: VOCABULARY,
    max_position_embeddings: 512,
    tie_word_embeddings: true,
  };
  const config = findFamily(raw).readConfig(raw);
  const values = weightSlots(config).map(({ name, shape, role }, i) => {
    const size = shape.reduce((a, b) => a * b);
    return [name, role === 'norm' ? new Float32Array(size).fill(1) : normal(size, 0.1, i + 100)] as const;
  });
  return new TransformerModel(config, new Map(values));
}

/** Repeatable normal numbers. */
function normal(count: number, deviation: number, seed: number): Float32Array {
  let state = seed >>> 0;
  const uniform = () => ((state = (Math.imul(state, 1664525) + 1013904223) >>> 0) + 0.5) / 2 ** 32;
  return Float32Array.from(
    { length: count },
    () => deviation * Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}
