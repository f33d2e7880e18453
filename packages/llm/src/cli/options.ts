// What the commands' options have in common: names are checked, texts become numbers and places.
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { nearestName } from '@hip/mask-search';
import type { ArgsDef } from 'citty';
import { UsageError } from './end.ts';

/** A whole number of an option; undefined where it was not given. @throws UsageError */
export function wholeNumber(name: string, text: string | undefined, least: number): number | undefined {
  return number(name, text, least, Number.isSafeInteger, 'a whole number');
}

/** A number of an option; undefined where it was not given. @throws UsageError */
export function anyNumber(name: string, text: string | undefined, least: number): number | undefined {
  return number(name, text, least, Number.isFinite, 'a number');
}

function number(
  name: string,
  text: string | undefined,
  least: number,
  isRight: (value: number) => boolean,
  what: string,
): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() !== '' && value >= least && isRight(value)) return value;
  throw new UsageError(`--${name} is "${text}": give ${what}${least === -Infinity ? '' : ` ≥ ${least}`}`);
}

/** An address as it is, a path that exists, a name on the Hub. @throws UsageError for none of them */
export function modelPlace(option: string, name: string, folder: string): string {
  if (/^(https?|hf):\/\//.test(name)) return name;
  const path = resolve(folder, name);
  if (existsSync(path)) return path;
  const isHubName = /^[\w-][\w.-]*\/[\w.-]+(@[\w./-]+)?(\/.+\.gguf)?$/.test(name);
  if (isHubName) return `hf://${name}`;
  throw new UsageError(
    `--${option} ${name}: there is no such file or folder, and it is no name on the Hub (owner/name) nor an address`,
  );
}

/** Refuses options that do not exist, and words that belong to none. @param instead what such words are told @throws UsageError */
export function checkNames(raw: readonly string[], definition: ArgsDef, instead: string): void {
  for (let i = 0; i < raw.length; i++) {
    const argument = raw[i] as string;
    const [, negated, name, inline] = /^--(no-)?([^=]+)(=)?/s.exec(argument) ?? [];
    if (name === undefined) {
      const hint = argument.startsWith('-') ? nearest(argument.replace(/^-+/, ''), definition) : instead;
      throw new UsageError(`"${argument}" belongs to no option: ${hint}`);
    }
    const option = Object.hasOwn(definition, name) ? definition[name] : undefined;
    if (!option || (negated && option.type !== 'boolean'))
      throw new UsageError(`there is no option --${negated ?? ''}${name}: ${nearest(name, definition)}`);
    if (option.type !== 'string' || inline) continue;
    const value = raw[i + 1];
    if (value === undefined || value.startsWith('--')) throw new UsageError(`--${name} needs a value`);
    i++;
  }
}

function nearest(name: string, definition: ArgsDef): string {
  const names = [...Object.keys(definition), 'help'];
  const best = nearestName(name, names);
  return best === undefined ? `use ${names.map((known) => `--${known}`).join(', ')}` : `did you mean --${best}?`;
}
