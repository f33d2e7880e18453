// Data: public names.
export * from './dataset.ts';
export * from './delimited.ts';
export type { TextChunks } from './records.ts';
export * from './examples.ts';
export * from './labels.ts';
export * from './token-classification.ts';
export * from './image-text.ts';
export * from './image-folder.ts';
export { normalizationOf, readCifar, readIdx } from './image-files.ts';
export type { ImageSet, Normalization } from './image-files.ts';
export * from './images.ts';
export * from './loader.ts';
export * from './split.ts';
export * from './stream.ts';
export * from './text-classification.ts';
export * from './text-windows.ts';
