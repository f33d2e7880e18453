// The tables of docs/guide/ablation.md: which rows of the vote study stand beside each other, and what a reader calls them.

const SMOL = 'SmolLM2-135M-Instruct';
const LARGE = 'books-lm-14m';

/** Section → model, run, prompt (of decode) and label → the row's name in the study. */
export const ABLATION = {
  parts: {
    run: 1,
    rows: {
      'vote with equal budgets, exact tail': 'equal budgets 64r, tail exact',
      'budgets by head, exact tail': 'budgets, tail exact',
      'budgets by head, no remainder': 'budgets, exact, no rem',
      'budgets by head, tail dropped': 'budgets, tail drop',
      'the same with k = 352 for the keys that are saved': 'budgets, tail drop, k352',
    },
  },
  blocks: {
    rows: {
      '8 keys a block': [2, 'all bk8'],
      '4 keys': [2, 'vote on all'],
      '2 keys': [3, 'all'],
      '1 key': [3, 'bk1 all'],
      '2 keys, 32 rows share a mask': [3, '32 rows all'],
      '4 keys, 32 rows': [2, '32 rows all'],
    },
  },
  budgets: {
    rows: {
      'equal, 2 keys a block': [3, 'equal all'],
      'by head, 2 keys a block': [3, 'all'],
      'equal, 4 keys a block, k = 320': [2, 'all equal'],
      'by head, k = 192': [2, 'all k192'],
      'k = 224': [2, 'all k224'],
      'k = 320': [2, 'vote on all'],
      'k = 352': [2, 'all k352'],
      'k = 448': [2, 'all k448'],
    },
  },
  window: {
    run: 2,
    rows: {
      'window 32, k = 352': 'all w32 k352',
      'window 64, k = 320': 'vote on all',
      'window 128, k = 256': 'all w128 k256',
    },
  },
  remainder: {
    run: 2,
    rows: {
      'at most 16 blocks': 'all most16',
      'at most 32': 'vote on all',
      'at most 64': 'all most64',
      'at most 32, exact tail': 'all exact',
      'blocks of 32, exact tail': 'all base32 exact',
    },
  },
  first: {
    run: 2,
    rows: {
      'every key is voted on': 'vote on all',
      'all chunks, 1,536 of them by exact scores': 'c64 all cand1536',
      'bound, means of 4 rows, 4,096 tokens': 'base',
      'bound, every row': 'mean1 c64 4096',
      'bound, means of 8 rows': 'mean8',
      'bound, 6,144 tokens': 'c64 6144',
      'bound, 32-key chunks': 'cb32 keep4096 cand1536',
      'bound, 16-key chunks': 'cb16 keep4096 cand1536',
      'mean + 0.5 deviations': 'md0.5 c64 4096 cand1536',
      'mean + 1 deviation': 'md1.0 c64 4096 cand1536',
      'mean + 2 deviations': 'md2.0 c64 4096 cand1536',
      'bound, 16-key chunks, 2,048 tokens, nothing after it': 'cb16 keep2048 vote',
      'mean + 2 deviations, 16-key chunks, 2,048 tokens, nothing after it': 'md2.0 cb16 keep2048',
    },
  },
  second: {
    run: 3,
    rows: {
      'every key is voted on': 'all',
      'exact, 1,536 tokens': 'md64 4096 x1536',
      'exact, 1,024': 'md64 4096 x1024',
      'exact with half the dimensions': 'md64 4096 x1536 halfx',
      'exact with half, vote with half': 'md64 4096 x1536 half half',
      'exact, every 2nd row': 'x rows/2',
      'exact, every 4th row': 'x rows/4',
      'mean + 2 deviations of 16-key chunks, 2,048': 'md64 4096 md16 2048',
      'mean + 2 deviations of 16-key chunks, 1,536': 'md64 4096 md16 1536',
      'none: the first stage leaves 2,048': 'md64 2048',
    },
  },
  vote: {
    rows: {
      'normalised over candidates, sinks, window': [1, 'budgets, tail drop'],
      'normalised over all keys': [1, 'norm all'],
      'half the dimensions (4 keys a block, every key)': [2, 'all half'],
      'all of them': [2, 'vote on all'],
      'probabilities (2 keys a block, every key)': [3, 'all'],
      'to the power 0.75': [3, 'alpha .75 all'],
      'to the power 0.5': [3, 'alpha .5 all'],
    },
  },
  decode: {
    part: 'decode',
    run: 3,
    prompt: 7000,
    rows: {
      '320 keys chosen by each token, first stage every 8': 'sel320 of 4096 R8',
      'first stage every token': 'R1',
      '448 keys': 'sel448 R8',
      '640 keys': 'sel640 R8',
      '448 keys, first stage every 16': 'sel448 R16',
      '448 of 2,048 candidates': 'sel448 of 2048 R8',
      '448 of 3,072 candidates': 'sel448 of 3072 R8',
      'all 4,096 candidates': 'all 4096 R8',
      'all 2,048 candidates': 'all 2048 R8',
      'all 2,048 candidates, found anew by every token': 'all 2048 R1',
      'equal budgets, 448 keys': 'equal 448 R8',
    },
  },
  seldom: {
    part: 'decode',
    run: 1,
    prompt: 4096,
    rows: {
      'all 1,024 candidates, found every 16 tokens': 'cand1024 R16',
      'every 8': 'cand1024 R8',
      'every 4': 'cand1024 R4',
      'every token': 'cand1024 R1',
      'all 2,048, every 8': 'cand2048 R8',
      '320 chosen by each token of 4,096, found every 8': 'select of 4096 R8',
    },
  },
  books: {
    model: LARGE,
    rows: {
      'as before: blocks of 16, window 256, k = 512': [1, 'old default'],
      'vote on 2-key blocks, exact second stage, 1,536': [3, '14m md64 4096 x1536'],
      'mean + deviation in both stages, 2,048': [3, '14m md64 4096 md16 2048'],
      'one stage of mean + deviation, 2,048': [3, '14m md64 2048'],
      'equal budgets (both stages mean + deviation)': [3, '14m equal'],
      '32 rows a mask': [3, '14m 32 rows'],
      'at most 32 pseudo-keys': [3, '14m most 32'],
      'every key is voted on': [3, '14m all'],
    },
  },
  shipped: {
    run: 3,
    rows: {
      '`DEFAULT_CONFIG`’s search': 'md64 4096 x1536 half half',
      'the same with equal budgets, all dimensions': 'equal md64 4096 x1536',
    },
  },
};

/** The rows of a section: label and row. @throws where the study has no such row */
export function ablationRows(document, section) {
  const { part = 'prefill', model = SMOL, run, prompt, rows } = ABLATION[section];
  return Object.entries(rows).map(([label, given]) => {
    const [number, name] = Array.isArray(given) ? given : [run, given];
    const match = { part, model, run: number, name, ...(prompt && { prompt }) };
    const row = document.rows.find((one) => Object.entries(match).every(([key, value]) => one[key] === value));
    if (!row) throw new Error(`benchmarks/results/vote-study.json has no row ${JSON.stringify(match)}`);
    return { label, ...row };
  });
}

/** Headers and cells of a section. */
export function ablationTable(document, section) {
  const rows = ablationRows(document, section);
  return {
    headers: ['', 'KL (10⁻³ nats)', 'perplexity, ratio', 'equal argmax', 'keys a row', 'pseudo-keys', 'windows'],
    rows: rows.map((row) => [
      row.label,
      row.kl,
      row.perplexityRatio.toFixed(4),
      `${(100 * row.equalArgmax).toFixed(1)} %`,
      Math.round(row.keysPerRow),
      row.pseudoKeysPerRow,
      row.windows,
    ]),
  };
}
