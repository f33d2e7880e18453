// Settings of a tactic come from options or from a study's JSON: unknown names and senseless numbers are refused.
import { SearchError } from '../errors.ts';
import { checkNames } from '../nearest.ts';

/**
 * @param counts settings that must be whole numbers ≥ 2 where present
 * @throws SearchError `invalid-option`
 */
export function checkSettings<T extends object>(
  tactic: string,
  settings: T,
  names: readonly (keyof T & string)[],
  counts: readonly string[] = ['population'],
): T {
  checkNames(`tactic ${tactic}`, settings, names);
  for (const [name, value] of Object.entries(settings)) {
    if (counts.includes(name) && value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 2)) {
      throw new SearchError('invalid-option', `${tactic}'s ${name} is ${String(value)}: use a whole number ≥ 2`, {
        tactic,
        name,
        value,
      });
    }
  }
  return settings;
}
