// A study file from elsewhere: looking at it runs nothing, going on with it runs only what the user agrees to.
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { runSearch } from '@instatune/search';
import { loadProblem } from '@instatune/search/node';
import { createProblem } from '../fixtures/knobs.ts';

const CLI = join(import.meta.dirname, '../../src/main.ts');
const folder = mkdtempSync(join(tmpdir(), 'foreign-'));
const mark = join(folder, 'ran');
const study = join(folder, 'study.db');

const cli = async (...args: string[]) => {
  try {
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [CLI, ...args], { cwd: folder });
    return { code: 0, out: stdout, err: stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout, err: stderr };
  }
};

const code = `import { writeFileSync } from "node:fs"; writeFileSync(${JSON.stringify(mark)}, "x"); export const problem = 1;`;
const file = join(folder, 'module.mjs');
writeFileSync(file, code);

function name(specifier: string): void {
  const database = new DatabaseSync(study);
  database.prepare("UPDATE studies SET settings = json_set(settings, '$.module.specifier', ?)").run(specifier);
  database.close();
}

describe('a study file that names code', async () => {
  await runSearch(createProblem(), {
    tactic: 'random',
    evaluations: 12,
    population: 6,
    constraints: ['cost <= 12'],
    study,
    module: { specifier: 'bert-synth', options: {} },
  });

  it.each([`data:text/javascript,${encodeURIComponent(code)}`, file, pathToFileURL(file).href, './module.mjs'])(
    'is shown, exported and listed without running %s',
    async (specifier) => {
      name(specifier);
      const shown = await cli('front', '--study', study, '--pick', '--html', 'r.html');
      expect(shown).toMatchObject({ code: 0, err: '' });
      expect(shown.out).toMatch(/depth \d, knob0 \d/);
      for (const args of [
        ['export', 'csv'],
        ['export', 'json'],
        ['front', '--list'],
      ])
        expect(await cli(...args, '--study', study)).toMatchObject({ code: 0 });
      const resumed = await cli('resume', '--study', study);
      expect(resumed).toMatchObject({ code: 2, err: expect.stringContaining('--trust') as string });
      expect(resumed.err).toContain(JSON.stringify(specifier).slice(0, 60));
      expect(existsSync(mark)).toBe(false);
    },
  );

  it('is never gone on with through text that is code, trusted or not', async () => {
    for (const specifier of [
      `data:text/javascript,${encodeURIComponent(code)}`,
      'node:fs',
      'https://127.0.0.1/x.mjs',
    ]) {
      name(specifier);
      expect(await cli('resume', '--study', study, '--trust')).toMatchObject({ code: 2 });
      await expect(loadProblem(specifier)).rejects.toMatchObject({ code: 'problem-module' });
    }
    expect(existsSync(mark)).toBe(false);
  });

  it('is gone on with through the file it names once it is trusted, which is said', async () => {
    name(file);
    const resumed = await cli('resume', '--study', study, '--trust');
    expect(resumed.err).toContain(`running ${JSON.stringify(file)}`);
    expect(existsSync(mark)).toBe(true);
  });
});

it('an option that does not exist is refused with the nearest that does', async () => {
  for (const [args, meant] of [
    [['search', '--evaluation', '3'], '--evaluations'],
    [['front', '--stdy', 'a.db'], '--study'],
    [['resume', '--trus'], '--trust'],
    [['worker', '--thread=2'], '--threads'],
    [['export', '--output', 'x'], '--out'],
  ] as const)
    expect(await cli(...args)).toMatchObject({
      code: 2,
      err: expect.stringContaining(`did you mean ${meant}?`) as string,
    });
  const options = { evaluations: 4, populaton: 2 } as never;
  await expect(runSearch(createProblem(), options)).rejects.toThrow(
    /no option "populaton" \(did you mean population\?\)/,
  );
  const tactic = { name: 'linas', inerEvaluations: 2 } as const;
  await expect(runSearch(createProblem(), { evaluations: 4, tactic })).rejects.toThrow(
    /did you mean innerEvaluations\?/,
  );
});
