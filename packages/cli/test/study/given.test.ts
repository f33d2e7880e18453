// `instatune search` with candidates and measurements from files: taken over, checked for units and directions.
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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
