// What attends and cannot be cut is refused by name, not passed over.
import { describe, expect, it } from 'vitest';
import { findAttention } from '../../src/graph/find.ts';
import { GraphView } from '../../src/graph/view.ts';
import {
  bytesWeight,
  onnxGraph,
  onnxModel,
  onnxModelBytes,
  onnxNode,
  onnxValue,
  openOnnxModel,
} from '../../src/model.ts';
import type { NodeProto } from '../../src/model/types.ts';

/** What is found in a graph of one node that makes y of x. */
async function foundIn(node: NodeProto): Promise<readonly string[]> {
  const graph = onnxGraph('one', {
    node: [node],
    input: [onnxValue('x', 'float', ['batch', 8]), onnxValue('c', 'bool', [])],
    output: [onnxValue('y', 'float', ['batch', 8])],
  });
  const proto = onnxModel(graph, { '': 21, 'com.microsoft': 1 }, { irVersion: 10 });
  const model = await openOnnxModel(await onnxModelBytes({ proto, weight: () => bytesWeight(new Uint8Array()) }));
  return findAttention(await GraphView.read(model)).map(({ site }) =>
    site instanceof Error ? site.message : 'a site',
  );
}

describe('findAttention', () => {
  it.each([
    ['PagedAttention', /^paged \(com\.microsoft\.PagedAttention\) cannot be cut out: .*use_paged_attention/],
    ['SparseAttention', /it is sparse already: name the other attentions in `layers`/],
    ['QAttention', /its projections are quantised/],
  ])('names %s', async (opType, message) => {
    const node = onnxNode(opType, ['x'], ['y'], { name: 'paged', domain: 'com.microsoft' });
    expect(await foundIn(node)).toEqual([expect.stringMatching(message)]);
  });

  it('names a branch that holds attentions', async () => {
    const branch = (opType: string) =>
      onnxGraph(opType, { node: [onnxNode(opType, ['x'], [opType])], output: [onnxValue(opType, 'float')] });
    const merged = { then_branch: branch('Softmax'), else_branch: branch('Relu') };
    const plain = { then_branch: branch('Neg'), else_branch: branch('Relu') };
    expect(await foundIn(onnxNode('If', ['c'], ['y'], { name: 'cached', attributes: merged }))).toEqual([
      expect.stringMatching(/^cached \(If\) cannot be cut out: attentions lie in its branches .*export it unmerged/),
    ]);
    expect(await foundIn(onnxNode('If', ['c'], ['y'], { attributes: plain }))).toEqual([]);
  });
});
