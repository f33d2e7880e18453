// How near to dense attention.
import { ablationTable } from '../ablation.mjs';
import { percent, thousands, times, view, where } from './view.mjs';

/** Configurations of the benchmark on SmolLM2, in words. */
const SMOLLM2 = {
  bounds: 'bounds (the default before)',
  default: 'default',
  profile: 'default, with the shipped profile',
};

export const quality = [
  {
    name: 'mask',
    title: 'What a head reads',
    tables: (document) => [
      view('One head over a long text', where(document, { part: 'mask' }), {
        model: 'model',
        'layer, head': ({ layer, head }) => `${layer}, ${head}`,
        tokens: 'tokens',
        k: 'k',
        'keys a row': 'keysPerRow',
        'of all pairs': ({ shareOfPairs }) => percent(shareOfPairs),
        'attention mass kept': ({ massRecall }) => percent(massRecall),
      }),
    ],
  },
  {
    name: 'quality',
    title: 'Quality on real weights',
    tables: (document) => {
      const rows = where(document, { table: 'quality' });
      const lengths = [...new Set(rows.flatMap((row) => Object.keys(row)))]
        .filter((key) => key.startsWith('perplexity') && key !== 'perplexityRatio')
        .map((key) => key.replace('perplexity', ''));
      return [
        view('', rows, {
          model: 'model',
          method: 'method',
          k: 'k',
          'dense layers': 'denseLayers',
          ...Object.fromEntries(
            lengths.map((length) => [`perplexity ${length}`, (row) => row[`perplexity${length}`]?.toFixed(2)]),
          ),
          ...Object.fromEntries(
            lengths.map((length) => [`pass-key ${length}`, (row) => percent(row[`passKey${length}`])]),
          ),
        }),
        view('Attention mass kept by each search', where(document, { table: 'recall' }), {
          'queries and keys': 'of',
          tokens: 'tokens',
          method: 'method',
          k: 'k',
          'mass kept': ({ massRecall }) => percent(massRecall),
        }),
      ];
    },
  },
  {
    name: 'frontier',
    title: 'Time against distance from dense attention',
    tables: (document) => [
      view(
        `The same configuration in each row: distance from dense on SmolLM2 (${thousands(document.rows[0]?.tokens)} tokens, second half), milliseconds of one of its layers (${thousands(document.rows[0]?.timedTokens)} tokens, CPU)`,
        document.rows,
        {
          configuration: 'configuration',
          'keys a row': 'keysPerRow',
          'pseudo-keys': 'pseudoKeysPerRow',
          'over all layers': 'keysPerRowAllLayers',
          'KL (10⁻³ nats)': ({ kl, klError }) => `${kl} ± ${klError}`,
          'perplexity, ratio': ({ perplexityRatio }) => perplexityRatio?.toFixed(4),
          'equal argmax': ({ equalArgmax }) => percent(equalArgmax),
          'prefill (ms)': 'prefillMs',
          'dense (ms)': 'denseMs',
          'against dense': ({ prefillMs, denseMs }) => times(denseMs / prefillMs),
        },
      ),
    ],
  },
  {
    name: 'vote-study',
    title: 'Distance from dense attention by what a vote is made of',
    tables: (document) => [
      { title: 'SmolLM2, two windows of 8,192 tokens, second half', ...ablationTable(document, 'second') },
      { title: 'One token after 7,000, 1,024 fed', ...ablationTable(document, 'decode') },
    ],
  },
  {
    name: 'quality-smollm2',
    title: 'How near to dense: SmolLM2-135M-Instruct at 8,192 tokens',
    tables: (document) => [
      view(
        'Second half of four windows of two books; KL in thousandths of a nat',
        document.rows.filter(({ part, window }) => part === 'prefill' && window.startsWith('mean')),
        {
          configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
          'perplexity against dense': ({ perplexityRatio }) => perplexityRatio.toFixed(4),
          KL: ({ kl, klError }) => `${kl.toFixed(1)} ± ${klError.toFixed(1)}`,
          'same next token': ({ equalArgmax }) => percent(equalArgmax),
          'keys a row': ({ keysPerRow }) => Math.round(keysPerRow),
          'pseudo-keys': ({ pseudoKeysPerRow }) => Math.round(pseudoKeysPerRow),
          'keys a row, dense layers too': ({ keysPerRowAllLayers }) => Math.round(keysPerRowAllLayers),
        },
      ),
      view(
        'Pass-keys: right answers, and the difference from dense with its 95 % interval',
        where(document, { part: 'tasks' }),
        {
          configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
          questions: 'questions',
          right: ({ right }) => percent(right),
          'against dense': ({ difference, interval }) =>
            difference === undefined ? undefined : `${percent(difference)} ± ${percent(interval)}`,
        },
      ),
      view('True tokens fed one at a time after a prompt', where(document, { part: 'decode' }), {
        text: 'window',
        prompt: 'tokens',
        fed: 'fed',
        configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
        'perplexity against dense': ({ perplexityRatio }) => perplexityRatio.toFixed(4),
        KL: ({ kl, klError }) => `${kl} ± ${klError}`,
        'same next token': ({ equalArgmax }) => percent(equalArgmax),
        'keys a row': 'keysPerRow',
        'pseudo-keys': 'pseudoKeysPerRow',
      }),
      view('Pass-keys beyond the trained 8,192 tokens', where(document, { part: 'beyond' }), {
        tokens: 'tokens',
        rotation: 'context',
        task: 'task',
        configuration: ({ configuration }) => SMOLLM2[configuration] ?? configuration,
        questions: 'questions',
        right: ({ right }) => percent(right),
        'against dense': ({ difference, interval }) =>
          difference === undefined ? undefined : `${percent(difference)} ± ${percent(interval)}`,
      }),
    ],
  },
];
