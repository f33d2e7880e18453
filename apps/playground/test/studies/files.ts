// Study files as visitors have them: of this project, of Optuna, as JSON, while a search runs, and damaged.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { bertSynth, runSearch } from '@instatune/search';
import { readStudy } from '@instatune/search/node';
import { toStudyView, type StudyView } from '@instatune/search/report';

const OPTUNA = join(import.meta.dirname, '../../../../packages/search/test/fixtures/optuna.sql');

export interface StudyFiles extends Disposable {
  readonly folder: string;
  /** `search.db`, of the studies `first` and `second`. */
  readonly path: string;
  /** Of `second`, the newest. */
  readonly view: StudyView;
}

/** Writes them into a folder of their own, which goes with them. */
export async function studyFiles(): Promise<StudyFiles> {
  const folder = mkdtempSync(join(tmpdir(), 'studies-'));
  const path = join(folder, 'search.db');
  await runSearch(bertSynth(), {
    tactic: 'random',
    evaluations: 20,
    population: 20,
    seed: 2,
    study: { path, name: 'first' },
  });
  await runSearch(bertSynth(), {
    tactic: 'random',
    evaluations: 30,
    population: 30,
    seed: 1,
    study: { path, name: 'second' },
  });
  const view = toStudyView(readStudy(path, 'second'));
  const optuna = new DatabaseSync(join(folder, 'optuna.db'));
  optuna.exec(readFileSync(OPTUNA, 'utf8'));
  optuna.close();
  writeFileSync(join(folder, 'saved.json'), JSON.stringify(view));
  writeFileSync(join(folder, 'other.json'), '{"name": "x", "variables": [], "objectives": [], "trials": []}');
  // As while a search runs: its newest trials lie in the log alone.
  const live = new DatabaseSync(path);
  live.exec('PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO studies SELECT * FROM studies WHERE 0');
  live.exec("UPDATE studies SET name = 'third' WHERE name = 'second'");
  copyFileSync(path, join(folder, 'live.db'));
  copyFileSync(`${path}-wal`, join(folder, 'live.db-wal'));
  live.exec("UPDATE studies SET name = 'second' WHERE name = 'third'");
  live.close();
  const begun = new DatabaseSync(join(folder, 'new.db'));
  begun.exec('PRAGMA journal_mode = WAL; CREATE TABLE other (id INTEGER)');
  copyFileSync(join(folder, 'new.db'), join(folder, 'begun.db'));
  begun.close();
  writeFileSync(join(folder, 'cut.db'), readFileSync(path).subarray(0, 6000));
  return { folder, path, view, [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }) };
}
