// Data: public names.
export * from './dataset.ts';
export * from './loader.ts';
export * from './text-windows.ts';
