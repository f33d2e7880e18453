// ai.onnx Attention: forms that the golden graphs do not have, and what is refused.
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createHipSession } from '../../src/index.ts';
import { causalMask } from '../helpers/plain-attention.ts';
import {
  CHANNELS,
  groupQuery,
  HEADS,
  KV_HEADS,
  lengths,
  rotaryTables,
  tinyModel,
  type AttentionOf,
  type GraphBuilder,
  type Sizes,
} from '../helpers/tiny-graph.ts';
import { COVERING, most } from '../helpers/tiny-runs.ts';

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
