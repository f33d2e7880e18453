// What the binaries export: kernels `(job, thread)`, and where free memory starts.
export { append } from './pages';
export { blockMeans, joinMeans } from './means';
export { envelopes } from './envelope';
export { denseAttention } from './dense';
export { sparseAttention } from './sparse';
export { sparseGradient } from './gradient';
export { mergeSplits } from './context';
export { stagedSearch } from './staged';
export { treeSearch } from './tree';
export { packColumns, packRows, gemm } from './gemm';
export { peak } from './peak';

export function heapBase(): usize {
  return __heap_base;
}
