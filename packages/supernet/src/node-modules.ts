// Node's modules for what cannot do without them, with this package's error where there is no Node.
import { nodeModule, type NodeModules } from '@hip/checkpoints/platform';
import { SupernetError } from './errors.ts';

export { nodeModule } from '@hip/checkpoints/platform';

/**
 * A module of Node for something that cannot do without.
 *
 * @param what - subject of the message, in the singular, e.g. `the folder ./model`
 * @param instead - what to do where there is no Node
 * @throws SupernetError `unsupported` where there is no Node
 */
export function requireNode<Name extends keyof NodeModules>(
  name: Name,
  what: string,
  instead: string,
): NodeModules[Name] {
  const module = nodeModule(name);
  if (!module) throw new SupernetError('unsupported', `${what} needs Node, which this is not: ${instead}`, { name });
  return module;
}

/** Imports a package that bundlers shall leave alone: by a variable, and from here, whose dependencies and peers are in reach. */
export function importPackage(specifier: string): Promise<unknown> {
  return import(/* webpackIgnore: true */ /* @vite-ignore */ specifier);
}
