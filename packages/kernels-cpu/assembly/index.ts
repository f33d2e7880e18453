// What the binaries export: kernels `(job, thread)`, and where free memory starts.
export { append } from './cache/pages';
export { blockMeans, joinMeans } from './cache/means';
export { compactKeys } from './cache/compact';
export { envelopes } from './cache/envelope';
export { denseAttention } from './attention/dense';
export { joinRow, rowAttention } from './attention/row';
export { sparseAttention } from './attention/sparse';
export { sparseGradient } from './attention/gradient';
export { mergeSplits } from './attention/context';
export { stagedSearch } from './search/staged';
export { treeSearch } from './search/tree';
export { packColumns, packRows, gemm } from './matrix/gemm';
export { peak } from './matrix/peak';
export { embed } from './model/embed';
export { elements } from './model/elements';
export { linearRows, linearTiles } from './model/linear';
export { packMatrix } from './model/pack';
export { quantize } from './model/quantize';
export { norm } from './model/norm';
export { rotate } from './model/rotate';

export function heapBase(): usize {
  return __heap_base;
}
