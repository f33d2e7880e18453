// The pictures of each stored result, by the result's name: what a reader should see before any table.
import { bars, heat, lines, Plot, picture, short, tokens } from './plot.mjs';

const where = (document, match) =>
  document.rows.filter((row) => Object.entries(match).every(([key, value]) => row[key] === value));
const points = (rows, x, y) => rows.map((row) => [row[x], row[y]]);
const log2 = { type: 'log', base: 2 };
const shareFormat = (value) => `${Math.round(100 * value)} %`;
const HIP = 'var(--s1)';

/** Methods of the quality table that a picture shows: label, and how the table calls them. */
const METHODS = {
  'HiP, default': { method: 'HiP (default)', denseLayers: 2, k: 320 },
  'HiP, bounds': { method: 'HiP, bounds', denseLayers: 2, k: 512 },
  dense: { method: 'dense' },
  "InfiniteHiP's stages": { method: 'HiP, multi-stage (InfiniteHiP, scaled to k)', denseLayers: 2 },
  "the paper's tree": { method: 'HiP, tree search as in the paper', denseLayers: 2 },
  'sink + window': { method: 'sink + window (StreamingLLM)', denseLayers: 2 },
  'random blocks': { method: 'random blocks (BigBird)', denseLayers: 2 },
};

function quality(document, model) {
  const table = where(document, { table: 'quality', model });
  const keys = [...new Set(table.flatMap((row) => Object.keys(row)))].filter(
    (key) => key.startsWith('passKey') && /\dK$/.test(key),
  );
  const length = (key) => 1024 * Number(/(\d+)K$/.exec(key)[1]);
  const found = Object.entries(METHODS).flatMap(([name, match]) => {
    const row = table.find((candidate) => Object.entries(match).every(([key, value]) => candidate[key] === value));
    return row ? [{ name, row }] : [];
  });
  return [
    {
      name: `quality-pass-keys-${model}`,
      svg: lines({
        title: `${model}: pass-keys found, by length of the text`,
        x: { ...log2, label: 'tokens', ticks: keys.map(length) },
        y: { label: 'found', tickFormat: shareFormat, domain: [0, 1] },
        series: found.map(({ name, row }) => ({ name, points: keys.map((key) => [length(key), row[key]]) })),
      }),
    },
    {
      name: `quality-perplexity-${model}`,
      svg: bars({
        title: `${model}: perplexity at 32K tokens, above dense`,
        values: found
          .filter(({ row }) => row.perplexityRatio !== undefined)
          .map(({ name, row }) => ({
            name,
            value: Math.max(0, row.perplexityRatio - 1),
            label: `${(100 * (row.perplexityRatio - 1)).toFixed(1)} %`,
            fill: name.startsWith('HiP') ? HIP : undefined,
          })),
      }),
    },
  ];
}

/** Sub-networks of one task: loss over the share of MACs, those trained on by themselves, and the full network fine-tuned plainly. */
function front(document, task) {
  const rows = document.rows.filter((row) => row.task === task && !row.recipe && row.macs !== undefined);
  const plain = rows.find((row) => row.row === 'plain fine-tune');
  const own = plain.weights;
  const of = (label) =>
    rows
      .filter((row) => row.row === label && (row.weights ?? own) === own)
      .map(({ macs, loss }) => [macs / plain.macs, loss])
      .sort(([a], [b]) => a - b);
  const groups = [
    { name: 'sub-networks as found', points: of('sub-network'), fill: HIP, line: true },
    { name: 'trained on by themselves', points: of('sub-network, fine-tuned on'), fill: 'var(--s4)', line: true },
    { name: 'full, plain fine-tuning', points: [[1, plain.loss]], fill: 'var(--s3)' },
  ].filter((group) => group.points.length > 0);
  return {
    name: `instatune-${task.toLowerCase().replaceAll(/\W+/g, '-')}`,
    svg: picture({
      title: `${task[0].toUpperCase()}${task.slice(1)}: loss of sub-networks over their share of the MACs`,
      entries: groups,
      x: { label: 'share of the MACs', tickFormat: shareFormat, domain: [0.2, 1.02], ticks: 5 },
      y: { label: 'loss', grid: true, ticks: 5, tickFormat: (value) => String(Number(value.toFixed(3))) },
      marks: [
        Plot.ruleY([plain.loss], { stroke: 'var(--s3)', strokeDasharray: '4,4' }),
        ...groups.flatMap((group) => [
          ...(group.line ? [Plot.line(group.points, { stroke: group.fill, strokeWidth: 2 })] : []),
          Plot.dot(group.points, { fill: group.fill, r: 4 }),
        ]),
      ],
    }),
  };
}

/** The default's budgets as a line, every other configuration as a point of its own: left and low is better. */
function frontier(document) {
  const isDefault = ({ configuration }) => /^default(?::k=\d+)?$/.test(configuration);
  const ours = document.rows.filter(isDefault).toSorted((a, b) => a.prefillMs - b.prefillMs);
  const others = document.rows.filter((row) => !isDefault(row));
  const { timedTokens } = document.rows[0];
  return {
    name: 'frontier',
    svg: lines({
      title: `Distance from dense attention over the time of a layer at ${tokens(timedTokens)} tokens, two CPU cores`,
      x: { label: 'ms', tickFormat: short, ticks: 6, nice: true },
      y: { label: 'KL (10⁻³ nats)', zero: true },
      series: [
        {
          name: `the default, ${ours.map(({ configuration }) => /\d+/.exec(configuration)?.[0] ?? '320').join(', ')} keys`,
          points: points(ours, 'prefillMs', 'kl'),
        },
        ...others.map((row) => ({
          name:
            { profile: 'the default with a profile', bounds: 'bounds', paper: "the paper's tree" }[row.configuration] ??
            row.configuration,
          points: points([row], 'prefillMs', 'kl'),
        })),
      ],
    }),
  };
}

const attentionTime = (document) => {
  const prefill = where(document, { part: 'prefill' });
  const of = (what) =>
    points(
      prefill.filter((row) => row.what === what),
      'tokens',
      'ms',
    );
  return {
    name: 'cpu-attention-prefill',
    svg: lines({
      title: 'Causal attention on two CPU cores, 8 heads',
      x: { ...log2, label: 'tokens', ticks: [2048, 4096, 8192, 16384, 65536] },
      y: { type: 'log', label: 'ms' },
      series: [
        { name: 'HiP', points: of('HiP, shipped default') },
        { name: 'dense, onnxruntime', points: of('onnxruntime GroupQueryAttention'), fill: 'var(--s3)' },
        { name: 'dense, ours', points: of('dense'), fill: 'var(--s2)' },
      ],
    }),
  };
};

const maskPicture = (document) => {
  const [{ tokens: length, keysPerRow, massRecall }] = where(document, { part: 'mask' });
  const grid = where(document, { part: 'density' }).map(({ shares }) =>
    [...shares].map((digit) => Number.parseInt(digit, 16)),
  );
  const ticks = {
    tickFormat: (cell) => tokens(Math.round((cell / grid.length) * length)),
    ticks: [0, 0.25, 0.5, 0.75, 1].map((share) => share * grid.length),
  };
  return {
    name: 'mask',
    svg: heat({
      title: `What one head reads: ${keysPerRow} keys a row hold ${shareFormat(massRecall)} of its attention`,
      grid,
      levels: 15,
      x: { label: 'key', ...ticks },
      y: { label: 'query', ...ticks },
    }),
  };
};

/** Result name → pictures `{ name, svg }` of it. */
export const PLOTS = {
  demo: ({ longContext }) => [
    {
      name: 'demo-time',
      svg: lines({
        title: 'The demo: a model reads a long document',
        x: { ...log2, label: 'tokens', ticks: longContext.map((row) => row.tokens) },
        y: { type: 'log', label: 'seconds' },
        series: [
          { name: 'HiP', points: longContext.map((row) => [row.tokens, row.hipMs / 1000]) },
          { name: 'dense', points: longContext.map((row) => [row.tokens, row.denseMs / 1000]) },
        ],
      }),
    },
    {
      name: 'demo-perplexity',
      svg: lines({
        title: 'Its perplexity on that document',
        x: { ...log2, label: 'tokens', ticks: longContext.map((row) => row.tokens) },
        y: { label: 'perplexity', ticks: 5, zero: true },
        series: [
          { name: 'HiP', points: points(longContext, 'tokens', 'hipPpl') },
          { name: 'dense', points: points(longContext, 'tokens', 'densePpl') },
        ],
      }),
    },
  ],
  'cpu-attention': (document) => {
    const decode = where(document, { part: 'decode', cache: 'f32' })[0];
    return [
      attentionTime(document),
      {
        name: 'cpu-attention-decode',
        svg: bars({
          title: `One token written after ${tokens(decode.tokens)}: milliseconds of attention`,
          values: [
            { name: 'dense', value: decode.denseMs },
            { name: 'HiP: search and attend', value: decode.searchAndAttendMs, fill: HIP },
            { name: 'HiP: mask of an earlier step', value: decode.cachedMaskMs, fill: HIP },
          ],
        }),
      },
    ];
  },
  mask: (document) => [maskPicture(document)],
  quality: (document) =>
    [...new Set(where(document, { table: 'quality' }).map(({ model }) => model))].flatMap((model) =>
      quality(document, model),
    ),
  frontier: (document) => [frontier(document)],
  'model-decode': (document) => [
    {
      name: 'model-decode',
      svg: lines({
        title: 'A model writes after a long text, tfjs-wasm: ms a token',
        x: { ...log2, label: 'tokens before', ticks: [...new Set(document.rows.map((row) => row.context))] },
        y: { type: 'log', label: 'ms' },
        series: [...new Set(document.rows.map((row) => row.decode))].toReversed().map((decode) => ({
          name: decode,
          points: points(where(document, { decode }), 'context', 'msPerToken'),
        })),
      }),
    },
  ],
  webgpu: (document) => {
    const shipped = document.rows.some(({ config }) => config === 'DEFAULT_CONFIG') ? 'DEFAULT_CONFIG' : 'WIDE_BOUNDS';
    const prefill = where(document, { part: 'prefill', config: shipped }).filter((row) => row.flashAttention2Ms);
    const decode = where(document, { part: 'decode', tokens: 131072 });
    return [
      {
        name: 'webgpu-prefill',
        svg: lines({
          title: 'Causal attention on an H100, 32 heads of 128',
          x: { ...log2, label: 'tokens', ticks: prefill.map((row) => row.tokens) },
          y: { type: 'log', label: 'ms' },
          series: [
            { name: 'HiP, WebGPU', points: points(prefill, 'tokens', 'gpuMs') },
            { name: 'cuDNN', points: points(prefill, 'tokens', 'cudnnMs') },
            { name: 'FlashAttention-2', points: points(prefill, 'tokens', 'flashAttention2Ms') },
          ],
        }),
      },
      {
        name: 'webgpu-decode',
        svg: bars({
          title: 'One token written after 128K on an H100: GPU milliseconds',
          values: [
            ...(decode[0]
              ? [
                  { name: 'FlashAttention-2', value: decode[0].flashAttention2Ms },
                  { name: 'cuDNN', value: decode[0].cudnnMs },
                ]
              : []),
            ...decode.map(({ what, gpuMs }) => ({
              name: what.replace('decode, dense', 'dense, WebGPU').replace('decode, ', 'HiP, WebGPU: '),
              value: gpuMs,
              fill: what === 'decode, dense' ? undefined : HIP,
            })),
          ],
        }),
      },
    ];
  },
  instatune: (document) => {
    const tasks = [...new Set(document.rows.filter((row) => row.row === 'sub-network').map(({ task }) => task))];
    return tasks.map((task) => front(document, task));
  },
  linas: (document) =>
    [...new Set(document.rows.map((row) => row.problem))].map((problem, i) => ({
      name: `linas-${i + 1}`,
      svg: lines({
        title: `${problem.replace(/ \(.*/, '')}: share of the hypervolume after so many measurements`,
        x: { label: 'measurements', tickFormat: (value) => String(value), ticks: 5 },
        y: { label: 'hypervolume', ticks: 5, tickFormat: shareFormat },
        series: where(document, { problem }).map((row) => ({
          name: { linas: 'LINAS', nsga2: 'NSGA-II' }[row.tactic] ?? row.tactic,
          points: Object.entries(row)
            .filter(([key]) => /^at\d+$/.test(key))
            .map(([key, value]) => [Number(key.slice(2)), value]),
        })),
      }),
    })),
  predictors: (document) => {
    const best = (measure, rows) => where(document, { measure, rows });
    return [
      {
        name: 'predictors-error',
        svg: bars({
          title: 'OFA-MobileNetV3 accuracy from 250 rows: mean error in %',
          values: best('OFA-MobileNetV3 top-1, masked', 250).map(({ method, mapePercent }) => ({
            name: method,
            value: mapePercent,
            fill: HIP,
          })),
        }),
      },
      {
        name: 'predictors-time',
        svg: bars({
          title: 'Fitting 500 rows of 135 features: milliseconds, beside scikit-learn',
          values: where(document, { measure: 'fit 500×135' })
            .filter(({ method, milliseconds }) => milliseconds < 3000 && !/stacking|auto|fixed\)|20 trees/.test(method))
            .map(({ method, milliseconds }) => ({
              name: method,
              value: milliseconds,
              fill: /scikit|libsvm/.test(method) ? undefined : HIP,
            })),
        }),
      },
    ];
  },
  nsga2: (document) => {
    const runs = where(document, { part: 'quality', algorithm: 'nsga2' }).filter((row) => row.pymooHypervolumeQuoted);
    return [
      {
        name: 'nsga2-hypervolume',
        svg: bars({
          title: "Hypervolume after 25,000 evaluations, as a share of pymoo's",
          values: runs.map((row) => ({
            name: row.problem,
            value: row.hypervolumeMedian / Number.parseFloat(row.pymooHypervolumeQuoted),
            fill: HIP,
          })),
          format: (value) => `${(100 * value).toFixed(2)} %`,
        }),
      },
      {
        name: 'nsga2-sorting',
        svg: bars({
          title: 'Sorting 2,000 points: times faster than comparing all pairs',
          values: where(document, { part: 'sort', points: 2000 })
            .filter((row) => row.timesFaster !== undefined)
            .map((row) => ({ name: `${row.objectives} objectives`, value: row.timesFaster, fill: HIP })),
          format: (value) => `${short(value)}×`,
        }),
      },
    ];
  },
  size: (document) => [
    {
      name: 'size',
      svg: bars({
        title: 'Kilobytes of each entry, minified and compressed',
        values: where(document, { import: '*' }).map(({ entry, gzipBytes }) => ({
          name: entry,
          value: gzipBytes / 1000,
          fill: HIP,
        })),
      }),
    },
  ],
};
