// Every import that the README's tables name exists.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
const imports = [...readme.matchAll(/`import \{ ([^}]+) \} from '([^']+)'`/g)].map(([, names, specifier]) => ({
  specifier: specifier!,
  names: names!.split(', '),
}));

it('finds them', () => {
  expect(imports.length).toBeGreaterThan(5);
});

it.each(imports)('$specifier exports $names', async ({ specifier, names }) => {
  const module = (await import(specifier)) as Record<string, unknown>;
  expect(names.filter((name) => module[name] === undefined)).toEqual([]);
});
