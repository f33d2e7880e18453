// Forms of GroupQueryAttention that the golden graphs do not have: built here, compared with what onnxruntime makes of the whole graph.
import { describe, expect, it } from 'vitest';
import { onnxTensor } from '../../src/model.ts';
import {
  branch,
  CHANNELS,
  groupQuery,
  HEADS,
  lengths,
  rotaryTables,
  VOCABULARY,
  type GraphBuilder,
} from '../helpers/tiny-graph.ts';
import { most, type Case } from '../helpers/tiny-runs.ts';

/** Tables for up to 16 tokens, and for more. */
const longRope: Case = {
  before: (graph) => {
    lengths(graph);
    rotaryTables(graph, 'short.', 64, CHANNELS / 2, 100);
    rotaryTables(graph, 'long.', 64, CHANNELS / 2, 1000);
    graph.weights.push(onnxTensor('limit', 'int32', [], Int32Array.of(16)));
    graph.add('Greater', ['total', 'limit'], 'is long');
    const branches = { then_branch: branch('then', 'long.'), else_branch: branch('else', 'short.') };
    graph.add('If', ['is long'], 'cos', branches, '', ['sin']);
  },
  attention: groupQuery({ do_rotary: 1n }, ['cos', 'sin']),
};
const inParts: Partial<Case> = { turns: [28, 1, 15, 1], hip: { threads: 1, partTokens: 7 } };

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
    ['tables that an If chooses', longRope],
    ['tables that an If chooses by the whole prompt, which runs in parts', { ...longRope, ...inParts }],
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
