// `instatune search` with candidates and measurements from files: taken over, checked for units and directions.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { bertSynth, runSearch, studyToCsv } from '@instatune/search';
import { readStudy } from '@instatune/search/node';
import { cli } from '../helpers/run.ts';

const folder = mkdtempSync(join(tmpdir(), 'given-'));
const search = (...more: string[]) =>
  cli(folder, 'search', '--problem', 'bert-synth', '--tactic', 'random', '--evaluations', '4', '--quiet', ...more);

it('measures given candidates first, beside what a table knows; a table of other units is refused', async () => {
  const { study } = await runSearch(bertSynth(), { tactic: 'random', evaluations: 6, population: 6, seed: 5 });
  const table = studyToCsv(study);
  writeFileSync(join(folder, 'known.csv'), table.replace('accuracy', '"accuracy (%, maximize)"'));
  const given = [3, ...Array.from({ length: 24 }, () => 1)];
  writeFileSync(join(folder, 'first.json'), JSON.stringify([given]));
  const ended = await search('--study', 'a.db', '--candidates', 'first.json', '--measurements', 'known.csv');
  expect(ended).toMatchObject({ code: 0 });
  const { trials } = readStudy(join(folder, 'a.db'));
  expect(trials).toHaveLength(10);
  expect(trials.filter(({ origin }) => origin === 'known')).toHaveLength(6);
  expect(trials.find(({ origin }) => origin === 'given')!.genes.slice(0, 2)).toEqual([3, 1]);

  writeFileSync(join(folder, 'share.csv'), table.replace('accuracy', 'accuracy (share)'));
  expect(await search('--study', 'b.db', '--measurements', 'share.csv')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/accuracy in "share", here it is in "%"/),
  });
});

it('of an Optuna storage asks for what it lacks by its own options', async () => {
  {
    using database = new DatabaseSync(join(folder, 'optuna.db'));
    const dump = new URL('../../../search/test/fixtures/optuna.sql', import.meta.url);
    database.exec(readFileSync(dump, 'utf8'));
  }
  const from = ['--study', 'c.db', '--measurements', 'optuna.db'];
  expect(await search(...from)).toMatchObject({
    code: 2,
    err: expect.stringMatching(/holds 2 studies: name one of knobs, single \(--measurements-name NAME\)/),
  });
  expect(await search(...from, '--measurements-name', 'single')).toMatchObject({
    code: 2,
    err: expect.stringMatching(/without names: name them in their order \(--measurements-objectives NAME,…\)/),
  });
});
