export * from './report.ts';
export * from './prune.ts';
export { cutTokenizer } from './cut-tokenizer.ts';
export type { CutTokenizer, TokenizerJson } from './cut-tokenizer.ts';
