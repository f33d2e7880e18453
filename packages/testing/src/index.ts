export * from './allclose.ts';
export * from './gpu/describe-gpu.ts';
export * from './gpu/index.ts';
export * from './shared-data.ts';
