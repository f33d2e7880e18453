// Forms of attention that the golden graphs do not have: built here, compared with what onnxruntime makes of the whole graph.
import { PAPER_CONFIG } from '@hip/mask-search';
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createHipSession, type HipSessionOptions } from '../../src/index.ts';
import { onnxTensor } from '../../src/model.ts';
import type { OrtTensor } from '../../src/runtime/ort.ts';
import { difference, numbers } from '../helpers/goldens.ts';
import {
  branch,
  CHANNELS,
  groupQuery,
  HEADS,
  KV_HEADS,
  lengths,
  rotaryTables,
  SIZES,
  tinyModel,
  VOCABULARY,
  type AttentionOf,
  type GraphBuilder,
  type Sizes,
  type TinyOptions,
} from '../helpers/tiny-graph.ts';

const COVERING: HipSessionOptions = {
  threads: 1,
  denseBelow: 0,
  config: { ...PAPER_CONFIG, k: 64, window: 8, sink: 2, denseLayers: 0 },
};
const TOKENS = [3, 17, 29, 3, 8, 31, 0, 39, 21, 5, 12, 14, 22, 9, 1, 33, 27, 2, 19, 30];

type Run = Record<string, OrtTensor>;

function integers(values: readonly number[]): OrtTensor {
  return new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
}

/** Caches of `rows` rows: empty, or a buffer of the caller's. */
function caches(rows: number, axis: number, { kvHeads, channels }: Sizes = SIZES): Run {
  const dims = [1, kvHeads, channels].toSpliced(axis, 0, rows);
  const count = dims.reduce((a, b) => a * b, 1);
  return Object.fromEntries(
    [0, 1].flatMap((layer) =>
      ['key', 'value'].map((part) => [
        `past_key_values.${layer}.${part}`,
        new ort.Tensor('float32', new Float32Array(count), dims),
      ]),
    ),
  );
}

interface Case extends TinyOptions {
  /** Columns of the mask, filled with zeros behind the tokens; caches have as many rows. */
  readonly captured?: number;
  readonly tokenAxis?: number;
  /** Tokens of each call. @defaultValue a prompt, and two tokens one by one */
  readonly turns?: readonly number[];
  /** @defaultValue {@link COVERING} */
  readonly hip?: HipSessionOptions;
}

/** Some calls, whole and cut: the differences of logits and caches. */
async function differences({
  captured,
  tokenAxis = 2,
  turns = [18, 1, 1],
  hip: given = COVERING,
  ...options
}: Case): Promise<readonly number[]> {
  const model = await tinyModel(options);
  const whole = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  await using hip = await createHipSession(ort, model, given);
  const found: number[] = [];
  let [own, cut] = [0, 1].map(() => caches(captured ?? 0, tokenAxis, options.sizes)) as [Run, Run];
  let before = 0;
  for (const count of turns) {
    const tokens = Array.from({ length: count }, (_, i) => TOKENS[(before + i) % TOKENS.length]!);
    const total = before + tokens.length;
    const feeds: Run = {
      input_ids: integers(tokens),
      attention_mask: integers(Array.from({ length: captured ?? total }, (_, i) => (i < total ? 1 : 0))),
      ...(options.hasPositions && { position_ids: integers(tokens.map((_, i) => before + i)) }),
    };
    const expected = (await whole.run({ ...feeds, ...own } as never)) as Run;
    const outputs = await hip.run({ ...feeds, ...cut });
    for (const [name, tensor] of Object.entries(outputs)) {
      expect(tensor.dims).toEqual(expected[name]!.dims);
      found.push(difference(numbers(tensor), numbers(expected[name]!)));
    }
    const next = (run: Run): Run =>
      Object.fromEntries(Object.keys(own).map((name) => [name, run[name.replace('past_key_values', 'present')]!]));
    [own, cut] = [next(expected), next(outputs)];
    before = total;
  }
  await whole.release();
  return found;
}

const most = async (options: Case) => Math.max(...(await differences(options)));

/** [B, S, heads · channels] to [B, heads, S, channels], keys and values joined to the cache, heads repeated. */
function plainParts(graph: GraphBuilder, layer: number) {
  const split = (value: string, heads: number) => {
    const shape = graph.ints(`${value}.shape`, [0, 0, heads, CHANNELS]);
    return graph.add('Transpose', [graph.add('Reshape', [value, shape], `${value}.4`)], `${value}.t`, {
      perm: [0n, 2n, 1n, 3n],
    });
  };
  const joined = (part: string, axis: bigint, added: string) =>
    graph.add('Concat', [`past_key_values.${layer}.${part}`, added], `present.${layer}.${part}`, { axis });
  return { split, joined };
}

/** Rows see keys up to their own, the last `window` of them, by a mask of −10000 and 0 [S, total]. */
function causalMask(graph: GraphBuilder, window?: number): void {
  graph.ints('zero', [0], []);
  graph.ints('axis1', [1], []);
  graph.ints('one.s', [1], []);
  graph.add('Shape', ['input_ids'], 'ids.shape');
  graph.add('Gather', ['ids.shape', 'axis1'], 'rows');
  graph.add('Shape', ['attention_mask'], 'am.shape');
  graph.add('Gather', ['am.shape', 'axis1'], 'columns');
  graph.add('Sub', ['columns', 'rows'], 'before');
  graph.add('Range', ['before', 'columns', 'one.s'], 'row.positions');
  graph.add('Range', ['zero', 'columns', 'one.s'], 'key.positions');
  graph.ints('unsqueeze', [1]);
  graph.add('Unsqueeze', ['row.positions', 'unsqueeze'], 'row.column');
  graph.add('LessOrEqual', ['key.positions', 'row.column'], window ? 'sees.earlier' : 'sees');
  if (window) {
    graph.add('Sub', ['row.column', graph.ints('window', [window], [])], 'out of sight');
    graph.add('Greater', ['key.positions', 'out of sight'], 'sees.near');
    graph.add('And', ['sees.earlier', 'sees.near'], 'sees');
  }
  graph.floats('none', [], [0]);
  graph.floats('hide', [], [-10_000]);
  graph.add('Where', ['sees', 'none', 'hide'], 'mask');
}

interface PlainOptions {
  readonly softcap?: number;
  readonly sinks?: boolean;
  readonly divides?: boolean;
}

/** Attention as plain operators. */
function plain({ softcap, sinks, divides }: PlainOptions): AttentionOf {
  return (graph, layer, q, k, v) => {
    const { split, joined } = plainParts(graph, layer);
    const name = (what: string) => `${what}.${layer}`;
    const queries = split(q, HEADS);
    let keys = split(k, KV_HEADS);
    let values = joined('value', 2n, split(v, KV_HEADS));
    keys = joined('key', 2n, keys);
    const repeated = (value: string) => {
      const [axes, times, shape] = [
        graph.ints(`${value}.a`, [2]),
        graph.ints(`${value}.x`, [1, 1, HEADS / KV_HEADS, 1, 1]),
        graph.ints(`${value}.r`, [0, HEADS, -1, CHANNELS]),
      ];
      const wide = graph.add('Expand', [graph.add('Unsqueeze', [value, axes], `${value}.u`), times], `${value}.e`);
      return graph.add('Reshape', [wide, shape], `${value}.rep`);
    };
    keys = repeated(keys);
    values = repeated(values);
    const transposed = graph.add('Transpose', [keys], name('kt'), { perm: [0n, 1n, 3n, 2n] });
    let scores = graph.add('MatMul', [queries, transposed], name('scores'));
    scores = divides
      ? graph.add('Div', [scores, graph.floats(name('root'), [], [4])], name('scaled'))
      : graph.add('Mul', [scores, graph.floats(name('scale'), [1], [0.3])], name('scaled'));
    if (softcap) {
      const cap = graph.floats(name('cap'), [], [softcap]);
      scores = graph.add(
        'Mul',
        [graph.add('Tanh', [graph.add('Div', [scores, cap], name('over'))], name('tanh')), cap],
        name('capped'),
      );
    }
    scores = graph.add('Add', [scores, 'mask'], name('masked'));
    if (sinks) {
      const logits = graph.weight(name('sinks'), [1, HEADS, 1, 1], 2);
      const [shape, ends] = [graph.add('Shape', [queries], name('qs')), graph.ints(name('three'), [3])];
      const front = graph.add('Slice', [shape, graph.ints(name('s0'), [0]), ends], name('front'));
      const target = graph.add('Concat', [front, graph.ints(name('s1'), [1])], name('target'), { axis: 0n });
      const wide = graph.add('Expand', [logits, target], name('wide'));
      scores = graph.add('Concat', [scores, wide], name('with sinks'), { axis: -1n });
    }
    let shares = graph.add('Softmax', [scores], name('shares'), { axis: -1n });
    if (sinks) {
      const [start, end, axis] = [graph.ints(name('b'), [0]), graph.ints(name('c'), [-1]), graph.ints(name('d'), [3])];
      shares = graph.add('Slice', [shares, start, end, axis], name('without sinks'));
    }
    const context = graph.add('MatMul', [shares, values], name('context'));
    const back = graph.add('Transpose', [context], name('back'), { perm: [0n, 2n, 1n, 3n] });
    return graph.add('Reshape', [back, graph.ints(name('flat'), [0, 0, -1])], name('attended'));
  };
}

describe('GroupQueryAttention', () => {
  it.each<[string, Case]>([
    [
      'sinks',
      {
        before: (graph) => (lengths(graph), void graph.weight('sink', [HEADS], 2)),
        attention: groupQuery({}, ['', '', '', '', 'sink']),
      },
    ],
    [
      'sinks in a window',
      {
        before: (graph) => (lengths(graph), void graph.weight('sink', [HEADS], 2)),
        attention: groupQuery({ local_window_size: 5n }, ['', '', '', '', 'sink']),
      },
    ],
    [
      'sinks and a scale',
      {
        before: (graph) => (lengths(graph), void graph.weight('sink', [HEADS], 1)),
        attention: groupQuery({ scale: 0.4 }, ['', '', '', '', 'sink']),
      },
    ],
    ['a smooth softmax', { before: lengths, attention: groupQuery({ smooth_softmax: 1n }) }],
    ['a soft-cap', { before: lengths, attention: groupQuery({ softcap: 3 }) }],
    [
      'rotation of some channels, interleaved',
      {
        before: (graph) => (lengths(graph), rotaryTables(graph, '', 64, 8, 100)),
        attention: groupQuery({ do_rotary: 1n, rotary_interleaved: 1n }, ['cos', 'sin']),
      },
    ],
    [
      'tables that an If chooses',
      {
        before: (graph) => {
          lengths(graph);
          rotaryTables(graph, 'short.', 16, CHANNELS / 2, 100);
          rotaryTables(graph, 'long.', 64, CHANNELS / 2, 1000);
          graph.weights.push(onnxTensor('limit', 'int32', [], Int32Array.of(16)));
          graph.add('Greater', ['total', 'limit'], 'is long');
          graph.add(
            'If',
            ['is long'],
            'cos',
            { then_branch: branch('then', 'long.'), else_branch: branch('else', 'short.') },
            '',
            ['sin'],
          );
        },
        attention: groupQuery({ do_rotary: 1n }, ['cos', 'sin']),
      },
    ],
    [
      'long prompts, whose dense rows are the runtime’s own',
      {
        turns: [140, 1, 150, 3],
        hip: { threads: 1 },
        before: (graph) => (lengths(graph), rotaryTables(graph, '', 300, CHANNELS / 2, 100)),
        attention: groupQuery({ do_rotary: 1n, scale: 0.3, softcap: 5 }, ['cos', 'sin']),
      },
    ],
    [
      'long prompts with sinks',
      {
        turns: [140, 1, 150, 3],
        hip: { threads: 1 },
        before: (graph) => (lengths(graph), void graph.weight('sink', [HEADS], 2)),
        attention: groupQuery({}, ['', '', '', '', 'sink']),
      },
    ],
    [
      'a mask of fixed length over buffers of fixed size',
      {
        captured: 32,
        before: (graph) => (lengths(graph, true), rotaryTables(graph, '', 64, CHANNELS / 2, 100)),
        attention: groupQuery({ do_rotary: 1n }, ['cos', 'sin']),
      },
    ],
  ])('%s', async (_, options) => {
    expect(await most(options)).toBeLessThan(1e-4);
  });

  it('embeddings and head on one table of 4 bits', async () => {
    const [blocks, bytes] = [3, 8];
    const embed = (graph: GraphBuilder): string => {
      const table = Uint8Array.from(graph.random(VOCABULARY * blocks * bytes, 128), (value) => value + 128);
      graph.weights.push(onnxTensor('quantised', 'uint8', [VOCABULARY, blocks, bytes], table));
      graph.weights.push(onnxTensor('scales', 'float', [VOCABULARY, blocks], graph.random(VOCABULARY * blocks, 0.05)));
      const shape = graph.ints('flat.shape', [VOCABULARY, blocks * bytes]);
      const flat = graph.add('Reshape', ['quantised', shape], 'flat');
      const attributes = { bits: 4n, block_size: 16n, gather_axis: 0n, quantize_axis: 1n };
      return graph.add('GatherBlockQuantized', [flat, 'input_ids', 'scales'], 'embedded', attributes, 'com.microsoft');
    };
    const head = (graph: GraphBuilder, hidden: string): void => {
      const attributes = { K: 48n, N: BigInt(VOCABULARY), bits: 4n, block_size: 16n };
      graph.add('MatMulNBits', [hidden, 'quantised', 'scales'], 'logits', attributes, 'com.microsoft');
    };
    expect(await most({ before: lengths, attention: groupQuery(), embed, head })).toBeLessThan(1e-4);
  });
});

describe('plain operators', () => {
  it.each<[string, PlainOptions, Partial<Case>]>([
    ['scores divided by a root', { divides: true }, {}],
    ['a soft-cap', { softcap: 2 }, {}],
    ['sinks beside the scores', { sinks: true }, {}],
    ['a window in the mask', {}, { before: (graph) => causalMask(graph, 6) }],
    ['a window and sinks', { sinks: true }, { before: (graph) => causalMask(graph, 4) }],
  ])('%s', async (_, options, more) => {
    expect(await most({ before: (graph) => causalMask(graph), attention: plain(options), ...more })).toBeLessThan(1e-4);
  });

  it('refuses scores with a bias by distance', async () => {
    const before = (graph: GraphBuilder): void => {
      causalMask(graph);
      graph.add('Sub', ['key.positions', 'row.column'], 'distance');
      graph.add('Cast', ['distance'], 'slope', { to: 1n });
      graph.add('Add', ['mask', 'slope'], 'biased');
    };
    const attention: AttentionOf = (graph, ...rest) => {
      const result = plain({})(graph, ...rest);
      for (const node of graph.nodes)
        if (node.opType === 'Add')
          node.input = node.input.map((name) => (name === 'mask' && node.output[0] !== 'biased' ? 'biased' : name));
      return result;
    };
    const model = await tinyModel({ before, attention });
    await expect(createHipSession(ort, model, COVERING)).rejects.toThrow(
      /cannot be cut out: a bias of -?\d+ is added to scores/,
    );
  });

  it('refuses attention that sees later keys', async () => {
    const before = (graph: GraphBuilder): void => {
      causalMask(graph);
      for (const node of graph.nodes) if (node.opType === 'LessOrEqual') node.opType = 'GreaterOrEqual';
    };
    const model = await tinyModel({ before, attention: plain({}) });
    await expect(createHipSession(ort, model, COVERING)).rejects.toThrow(
      /cannot be cut out: row 0 sees key 1, which comes later/,
    );
  });
});

describe('ai.onnx Attention', () => {
  const attention =
    (attributes: Readonly<Record<string, bigint | number>>, bias = 'bias'): AttentionOf =>
    (graph, layer, q, k, v) => {
      const past = ['key', 'value'].map((part) => `past_key_values.${layer}.${part}`);
      const present = ['key', 'value'].map((part) => `present.${layer}.${part}`);
      const { heads, kvHeads } = graph.sizes;
      const all = { q_num_heads: BigInt(heads), kv_num_heads: BigInt(kvHeads), ...attributes };
      return graph.add('Attention', [q, k, v, bias, ...past], `attended${layer}`, all, '', present);
    };
  const added = (graph: GraphBuilder): void => {
    causalMask(graph);
    graph.ints('two', [0, 1]);
    graph.add('Unsqueeze', ['mask', 'two'], 'bias');
  };
  const boolean = (graph: GraphBuilder): void => {
    causalMask(graph, 6);
    graph.ints('two', [0, 1]);
    graph.add('Unsqueeze', ['sees', 'two'], 'bias');
  };

  it.each([23, 24])('opset %i: a mask that is added, a scale, a soft-cap', async (opset) => {
    const given = attention({ scale: 0.3, softcap: 4 });
    expect(await most({ opset, before: added, attention: given })).toBeLessThan(1e-4);
  });

  it.each([23, 24])('opset %i: a boolean mask with a window, what is said by default said aloud', async (opset) => {
    const given = attention({ qk_matmul_output_mode: 0n, softmax_precision: 1n, softcap: 0, is_causal: 0n });
    expect(await most({ opset, before: boolean, attention: given })).toBeLessThan(1e-4);
  });

  it('opset 24: heads as an axis of their own', async () => {
    const given: AttentionOf = (graph, layer, q, k, v) => {
      const split = (value: string, heads: number) => {
        const shape = graph.ints(`${value}.shape`, [0, 0, heads, CHANNELS]);
        const four = graph.add('Reshape', [value, shape], `${value}.4`);
        return graph.add('Transpose', [four], `${value}.t`, { perm: [0n, 2n, 1n, 3n] });
      };
      const parts = [split(q, HEADS), split(k, KV_HEADS), split(v, KV_HEADS)] as const;
      const names = (what: string) => ['key', 'value'].map((part) => `${what}.${layer}.${part}`);
      const inputs = [...parts, 'bias', ...names('past_key_values')];
      const context = graph.add('Attention', inputs, `context${layer}`, {}, '', names('present'));
      const back = graph.add('Transpose', [context], `back${layer}`, { perm: [0n, 2n, 1n, 3n] });
      return graph.add('Reshape', [back, graph.ints(`flat${layer}`, [0, 0, -1])], `attended${layer}`);
    };
    expect(await most({ opset: 24, before: boolean, attention: given })).toBeLessThan(1e-4);
  });

  it('refuses lengths of keys beside them, in words', async () => {
    const given: AttentionOf = (graph, ...rest) => {
      const result = attention({})(graph, ...rest);
      graph.nodes.at(-1)!.input.push('sums');
      return result;
    };
    const before = (graph: GraphBuilder): void => (added(graph), lengths(graph));
    const model = await tinyModel({ opset: 24, before, attention: given });
    await expect(createHipSession(ort, model, COVERING)).rejects.toThrow(
      /Attention.*cannot be cut out: its keys have lengths of their own \(sums\)/,
    );
  });

  it.each<[string, Sizes]>([
    ['one key head', { heads: 5, kvHeads: 1, channels: 16 }],
    ['a key head for each', { heads: 3, kvHeads: 3, channels: 48 }],
    ['wide heads', { heads: 2, kvHeads: 1, channels: 128 }],
  ])('%s', async (_, sizes) => {
    const [before, given] = [added, attention({})];
    expect(await most({ opset: 23, before, attention: given, sizes })).toBeLessThan(1e-4);
    const rotated = (graph: GraphBuilder): void => (
      lengths(graph),
      rotaryTables(graph, '', 64, sizes.channels / 2, 1e4)
    );
    const query = groupQuery({ do_rotary: 1n }, ['cos', 'sin']);
    expect(await most({ before: rotated, attention: query, sizes })).toBeLessThan(1e-4);
  });
});
