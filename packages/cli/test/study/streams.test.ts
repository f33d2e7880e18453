// Whoever reads the output may stop at any time (`| head -1`).
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { listStudies } from '@instatune/search/node';

const CLI = join(import.meta.dirname, '../../src/main.ts');
const KNOBS = join(import.meta.dirname, '../fixtures/knobs.ts');
const folder = mkdtempSync(join(tmpdir(), 'streams-'));

/** Runs a command that nobody listens to on `closed`; says what came on the other stream. */
async function unheard(closed: 'stdout' | 'stderr', ...args: string[]) {
  const child = spawn(process.execPath, [CLI, ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] });
  child[closed].destroy();
  let heard = '';
  child[closed === 'stdout' ? 'stderr' : 'stdout'].on('data', (text: Buffer) => (heard += text.toString()));
  const code = await new Promise<number | null>((settle) => child.once('close', settle));
  return { code, heard };
}

const measured = ['--problem', KNOBS, '--options', '{"delay":2}', '--tactic', 'random'];
const budget = ['--evaluations', '20', '--population', '10'];
const search = (study: string) => ['search', ...measured, ...budget, '--study', study, '--html', `${study}.html`];

describe('a reader that leaves', () => {
  beforeAll(async () => {
    await unheard('stdout', ...search('whole.db'), '--quiet');
  });

  it('standard error: the search goes on to its end', async () => {
    const { code, heard } = await unheard('stderr', ...search('a.db'));
    expect(code).toBe(0);
    expect(heard).toContain('20 evaluations');
    expect(heard).toContain('report: a.db.html');
    expect(listStudies(join(folder, 'a.db'))).toMatchObject([{ complete: 20, trials: 20 }]);
  });

  it('standard output: the search ends quietly, with its report', async () => {
    expect(await unheard('stdout', ...search('b.db'), '--quiet')).toEqual({ code: 0, heard: '' });
    expect(listStudies(join(folder, 'b.db'))).toMatchObject([{ complete: 20, trials: 20 }]);
    expect(existsSync(join(folder, 'b.db.html'))).toBe(true);
  });

  it.each([
    ['export', 'csv'],
    ['export', 'json'],
    ['front', '--pick'],
    ['front', '--list'],
  ])('standard output: %s %s ends quietly', async (...args) => {
    expect(await unheard('stdout', ...args, '--study', 'whole.db')).toEqual({ code: 0, heard: '' });
  });

  it('standard output: front writes its report all the same', async () => {
    const args = ['--study', 'whole.db', '--html', 'front.html'];
    expect(await unheard('stdout', 'front', ...args)).toEqual({ code: 0, heard: '' });
    expect(existsSync(join(folder, 'front.html'))).toBe(true);
  });

  it('standard error: a failure keeps its exit status', async () => {
    expect((await unheard('stderr', 'export', 'xml', '--study', 'whole.db')).code).toBe(2);
  });
});
