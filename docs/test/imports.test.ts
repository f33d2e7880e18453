// Every import that the table of packages names exists.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const page = readFileSync(join(import.meta.dirname, '../guide/getting-started.md'), 'utf8');
const imports = [...page.matchAll(/`import \{ ([^}]+) \} from '([^']+)'`/g)].map(([, names, specifier]) => ({
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
