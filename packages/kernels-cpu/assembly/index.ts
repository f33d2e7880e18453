// Exports of the WebAssembly binaries. Every kernel takes (job pointer, thread number) and shares the work by an atomic counter.
export { attentionScratch, denseAttention, sparseAttention } from './attention';
export { gemm, packColumns, peak } from './gemm';
export { envelopes, packKeys } from './pack';
export { stagedSearch, treeSearch } from './search';

/** First byte after static data. */
export function heapBase(): usize {
  return __heap_base;
}
