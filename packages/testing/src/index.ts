export * from './allclose.ts';
export * from './browser/describe-browser.ts';
export * from './browser/index.ts';
export * from './gpu/describe-gpu.ts';
export * from './gpu/index.ts';
export * from './shared-data.ts';
