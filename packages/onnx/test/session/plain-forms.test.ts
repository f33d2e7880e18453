// Attention of plain operators: forms that the golden graphs do not have, and what is refused.
import * as ort from 'onnxruntime-node';
import { describe, expect, it } from 'vitest';
import { createHipSession } from '../../src/index.ts';
import { causalMask, plain, tableMask, type PlainOptions } from '../helpers/plain-attention.ts';
import { tinyModel, type AttentionOf, type GraphBuilder } from '../helpers/tiny-graph.ts';
import { COVERING, most, type Case } from '../helpers/tiny-runs.ts';

describe('plain operators', () => {
  it.each<[string, PlainOptions, Partial<Case>]>([
    ['scores divided by a root', { divides: true }, {}],
    ['a soft-cap', { softcap: 2 }, {}],
    ['sinks beside the scores', { sinks: true }, {}],
    ['a window in the mask', {}, { before: (graph) => causalMask(graph, 6) }],
    ['a window in a table of rows and keys', {}, { before: (graph) => tableMask(graph, 10) }],
    ['a window of one text only', {}, { batch: 1, before: (graph) => causalMask(graph, 10) }],
    ['caches that go out through a cast, keys transposed as three axes', { castsCache: true }, {}],
    ['a mask before the scale', { divides: true, masksFirst: true }, {}],
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

  it('a window without a cache', async () => {
    const attention: AttentionOf = (graph, layer, q, k, v) => {
      const past = graph.nodes.length;
      const result = plain({})(graph, layer, q, k, v);
      // Nothing is joined.
      for (const node of graph.nodes.slice(past))
        if (node.opType === 'Concat')
          Object.assign(node, { opType: 'Identity', input: [node.input[1]!], attribute: [] });
      return result;
    };
    const before = (graph: GraphBuilder): void => causalMask(graph, 10);
    expect(await most({ hasCache: false, turns: [20], before, attention })).toBeLessThan(1e-4);
  });

  it('names what stands between the products and is not known', async () => {
    const model = await tinyModel({ before: (graph) => causalMask(graph), attention: plain({ reshapes: true }) });
    await expect(createHipSession(ort, model, COVERING)).rejects.toThrow(
      /Softmax.*cannot be cut out: node \d+ \(Reshape\) between its products is not known there/,
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
