// `@hip/checkpoints/platform`: Node's modules, optional packages and float16, asked for at run time: what is imported by name, even dynamically, bundlers try to find.
import { CheckpointError } from './errors.ts';

export { floatsToHalves, halvesToFloats } from './half.ts';

/** The modules of Node that are asked for. */
export interface NodeModules {
  readonly 'node:fs/promises': typeof import('node:fs/promises');
  readonly 'node:os': typeof import('node:os');
  readonly 'node:path': typeof import('node:path');
}

/** A module of Node, or undefined where there is no Node. */
export function nodeModule<Name extends keyof NodeModules>(name: Name): NodeModules[Name] | undefined {
  // Some bundlers put a `process` of their own into pages.
  if (typeof process !== 'object' || typeof process.getBuiltinModule !== 'function') return undefined;
  return process.getBuiltinModule(name as string) as NodeModules[Name] | undefined;
}

/**
 * A module of Node for something that cannot do without.
 *
 * @param what - subject of the message, in the singular, e.g. `the folder ./model`
 * @param instead - what to do where there is no Node
 * @throws CheckpointError `unsupported` where there is no Node
 */
export function requireNode<Name extends keyof NodeModules>(
  name: Name,
  what: string,
  instead: string,
): NodeModules[Name] {
  const module = nodeModule(name);
  if (!module) throw new CheckpointError('unsupported', `${what} needs Node, which this is not: ${instead}`, { name });
  return module;
}

/** Imports a package that bundlers shall leave alone: by a variable, and by the comments that each of them knows. */
export function importPackage(specifier: string): Promise<unknown> {
  return import(/* webpackIgnore: true */ /* @vite-ignore */ specifier);
}
