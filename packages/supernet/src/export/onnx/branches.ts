// Multiway models (BEiT-3): tokens of images and of texts go through weights of their own, attention sees both.
import { languageName } from '@hip/checkpoints';
import type { LayerContext } from './context.ts';

/** Runs a step on the tokens of images (the first) and on those of texts, each with its own weights. */
export function branchNodes(
  { graph, branch }: LayerContext,
  x: string,
  name: string,
  step: (x: string, name: string) => string,
): string {
  if (branch === undefined || branch === 'vision') return step(x, name);
  if (branch === 'language') return step(x, languageName(name));
  const cut = (from: number, to: number) => graph.op('Slice', [x, graph.int([from]), graph.int([to]), graph.int([1])]);
  const parts = [step(cut(0, branch.images), name), step(cut(branch.images, 2 ** 31), languageName(name))];
  return graph.op('Concat', parts, { axis: 1n });
}
