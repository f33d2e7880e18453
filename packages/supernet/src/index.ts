export * from './errors.ts';
export * from './elastic/space.ts';
export type * from './model/types.ts';
