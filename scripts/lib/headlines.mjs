// The five figures that the README and the landing page open with, each out of one stored result.
import { short, tokens } from './plot.mjs';

const find = (document, match) => {
  const row = document.rows.find((candidate) =>
    Object.entries(match).every(([key, value]) => candidate[key] === value),
  );
  if (!row)
    throw new Error(
      `${document.name ?? 'a result'} has no row ${JSON.stringify(match)}: say in scripts/lib/headlines.mjs which row it is now`,
    );
  return row;
};
const percent = (share) => `${short(100 * share)} %`;

/** Result → what to say of it: a short value, then a sentence that goes on from it. */
export const HEADLINES = [
  {
    result: 'cpu-attention',
    say: (document) => {
      const rows = document.rows.filter((row) => row.part === 'prefill' && row.what === 'HiP, shipped default');
      const { tokens: length, timesFasterThanOnnx } = rows.toSorted((a, b) => b.tokens - a.tokens)[0];
      const shorter = rows.find((row) => row.timesFasterThanOnnx > 1.2);
      return {
        value: `${short(timesFasterThanOnnx)}×`,
        text: `faster causal attention than onnxruntime on two CPU cores at ${tokens(length)} tokens, ${short(shorter.timesFasterThanOnnx)}× at ${tokens(shorter.tokens)}`,
      };
    },
  },
  {
    result: 'webgpu-vote',
    say: (document) => {
      const {
        tokens: length,
        gpuMs,
        flashAttention2Ms,
      } = find(document, {
        part: 'prefill',
        tokens: 131072,
        configuration: 'default',
      });
      return {
        value: `${short(flashAttention2Ms / gpuMs)}×`,
        text: `faster than FlashAttention-2 on an H200 at ${tokens(length)} tokens, from WebGPU: ${short(gpuMs)} ms against ${short(flashAttention2Ms)}`,
      };
    },
  },
  {
    result: 'quality-smollm2',
    say: (document) => {
      const at = { part: 'prefill', window: 'mean of 4' };
      const { perplexityRatio, keysPerRow, pseudoKeysPerRow } = find(document, { ...at, configuration: 'profile' });
      return {
        value: `${perplexityRatio.toFixed(3)}×`,
        text: `the perplexity of dense attention on SmolLM2-135M at 8K tokens with ${Math.round(keysPerRow)} keys and ${Math.round(pseudoKeysPerRow)} pseudo-keys a row (its profile; ${find(document, { ...at, configuration: 'default' }).perplexityRatio.toFixed(3)}× without)`,
      };
    },
  },
  {
    result: 'instatune',
    say: (document) => {
      const { fewerMacs, againstPlain } = document.rows
        .filter((row) => row.task === 'language modelling' && row.row === 'sub-network, fine-tuned on' && !row.recipe)
        .toSorted((a, b) => a.againstPlain - b.againstPlain)[0];
      return {
        value: `−${percent(fewerMacs)}`,
        text: `MACs at a loss ${againstPlain <= 0 ? `${percent(-againstPlain)} below` : `${percent(againstPlain)} above`} plain fine-tuning of the whole language model`,
      };
    },
  },
  {
    result: 'peers',
    say: (document) => {
      const [linas, nsga2, tpe] = ['ours linas', 'ours nsga2', 'optuna tpe'].map((algorithm) =>
        find(document, { part: 'hypervolume', task: 'BERT-synth', algorithm }),
      );
      return {
        value: percent(linas.at100),
        text: `of the exact front's hypervolume after 100 measurements in a space of 10¹³ (BERT-synth); NSGA-II has ${percent(nsga2.at100)}, Optuna's TPE ${percent(tpe.at100)}`,
      };
    },
  },
];
