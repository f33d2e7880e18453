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
    result: 'webgpu',
    say: (document) => {
      const { tokens: length, gpuMs, flashAttention2Ms } = find(document, { part: 'prefill', tokens: 131072 });
      return {
        value: `${short(flashAttention2Ms / gpuMs)}×`,
        text: `faster than FlashAttention-2 on an H100 at ${tokens(length)} tokens, from WebGPU: ${short(gpuMs)} ms against ${short(flashAttention2Ms)}`,
      };
    },
  },
  {
    result: 'quality',
    say: (document) => {
      const dense = find(document, { table: 'quality', model: 'books-lm-14m', method: 'dense' });
      const row = { table: 'quality', model: 'books-lm-14m', denseLayers: 2 };
      const isMeasured = document.rows.some(({ method, k }) => method === 'HiP (default)' && k === 320);
      const shipped = isMeasured ? { method: 'HiP (default)', k: 320 } : { method: 'HiP, bounds', k: 512 };
      const hip = find(document, { ...row, ...shipped });
      return {
        value: `${hip.perplexityRatio.toFixed(3)}×`,
        text: `the perplexity of dense attention at 32K tokens (books-lm-14m), and ${percent(hip.passKey32K)} of pass-keys found where dense finds ${percent(dense.passKey32K)}`,
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
    result: 'linas',
    say: (document) => {
      const [linas, nsga2] = ['linas', 'nsga2'].map((tactic) => find(document, { problem: 'BERT-synth', tactic }));
      return {
        value: percent(linas.at100),
        text: `of the exact front's hypervolume after 100 measurements in a space of 10¹³ (BERT-synth); NSGA-II has ${percent(nsga2.at100)}`,
      };
    },
  },
];
