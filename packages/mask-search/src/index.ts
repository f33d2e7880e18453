export * from './block-mask.ts';
export * from './config.ts';
export * from './errors.ts';
