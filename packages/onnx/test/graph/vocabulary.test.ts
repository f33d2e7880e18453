// How many tokens a graph knows, whatever looks them up.
import { missingShared } from '@hip/testing';
import { describe, expect, it } from 'vitest';
import { findAttention } from '../../src/graph/find.ts';
import { decoderInputs } from '../../src/graph/feeds.ts';
import type { AttentionSite } from '../../src/graph/site.ts';
import { GraphView } from '../../src/graph/view.ts';
import { vocabularyOf } from '../../src/graph/vocabulary.ts';
import { openOnnxModel } from '../../src/model.ts';
import { disguised } from '../helpers/disguise.ts';
import { GOLDENS } from '../helpers/goldens.ts';
import { groupQuery, lengths, tinyModel, type GraphBuilder, VOCABULARY } from '../helpers/tiny-graph.ts';

const missing = missingShared('goldens/onnx');

async function vocabulary(source: string | Uint8Array): Promise<number | undefined> {
  const model = await openOnnxModel(source);
  const view = await GraphView.read(model);
  await model.close();
  const sites = findAttention(view).flatMap(({ site }) => (site instanceof Error ? [] : [site as AttentionSite]));
  return vocabularyOf(view, decoderInputs(view, sites).tokens);
}

describe('vocabularyOf', () => {
  it.skipIf(missing)(`finds the 300 tokens of every golden graph, in other words too${missing}`, async () => {
    const found = new Set<number | undefined>();
    for (const path of GOLDENS.values()) {
      found.add(await vocabulary(path));
      found.add(await vocabulary(await disguised(path, { seed: 5, kinds: ['cast', 'reshape', 'axes'], passing: 0.5 })));
    }
    expect([...found]).toEqual([300]);
  });

  const tiny = (embed: (graph: GraphBuilder) => string) =>
    tinyModel({ before: lengths, attention: groupQuery(), embed });

  it('reads a table that is the head, turned', async () => {
    const model = await tiny((graph) => {
      const turned = graph.add('Transpose', [graph.weight('tied', [48, VOCABULARY])], 'table', { perm: [1n, 0n] });
      return graph.add('Gather', [turned, 'input_ids'], 'embedded', { axis: 0n });
    });
    expect(await vocabulary(model)).toBe(VOCABULARY);
  });

  it('does not guess where ids choose columns', async () => {
    const model = await tiny((graph) => {
      const columns = graph.add('Gather', [graph.weight('wide', [48, VOCABULARY]), 'input_ids'], 'columns', {
        axis: 1n,
      });
      return graph.add('Transpose', [columns], 'embedded', { perm: [1n, 2n, 0n] });
    });
    expect(await vocabulary(model)).toBeUndefined();
  });
});
