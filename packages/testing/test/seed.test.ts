// The seed of the property tests: printed, passed on, and the same draws again for the same seed.
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { assert, property, integer, readConfigureGlobal } from 'fast-check';
import { expect, it } from 'vitest';

it('is FC_SEED for every property test', () => {
  expect(readConfigureGlobal()?.seed).toBe(Number(process.env['FC_SEED']));
  const draw = () => {
    const values: number[] = [];
    assert(
      property(integer(), (value) => {
        values.push(value);
      }),
      { numRuns: 20 },
    );
    return values;
  };
  expect(draw()).toEqual(draw());
});

it('is printed by a run, and repeats it', async () => {
  const folder = await mkdtemp(join(import.meta.dirname, 'seed-'));
  try {
    await writeFile(
      join(folder, 'draw.test.ts'),
      `import { assert, property, integer } from 'fast-check'; import { writeFileSync } from 'node:fs'; import { it } from 'vitest';
       it('draws', () => { const all: number[] = []; assert(property(integer(), (n) => { all.push(n); })); writeFileSync(process.env.OUT!, all.join()); });`,
    );
    await writeFile(
      join(folder, 'vitest.config.ts'),
      `import { packageConfig } from '../../../../vitest.base.ts'; const config = packageConfig();
       export default { test: { ...config.test, include: ['*.test.ts'], reporters: ['default'] } };`,
    );
    const run = async (seed: string, name: string) => {
      const out = join(tmpdir(), `draws-${process.pid}-${name}`);
      const { stdout } = await promisify(execFile)('vitest', ['run', '--root', folder], {
        env: { ...process.env, FC_SEED: seed, OUT: out },
      });
      const draws = await readFile(out, 'utf8');
      await rm(out);
      return { stdout, draws };
    };
    const first = await run('7', 'a');
    expect(first.stdout).toContain('fast-check seed 7');
    expect((await run('7', 'b')).draws).toBe(first.draws);
    expect((await run('8', 'c')).draws).not.toBe(first.draws);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
