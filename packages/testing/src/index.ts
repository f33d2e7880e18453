export * from './allclose.ts';
export * from './shared-data.ts';
