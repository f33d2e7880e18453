// Which of the files that were dropped together is the study, and which the log beside it.
import { PlaygroundError } from '../rpc/protocol.ts';

/** A study file, and SQLite's write-ahead log of it. */
export interface DroppedStudy {
  readonly file: File;
  readonly log: File | undefined;
}

/** What SQLite puts beside a database; an index of the log (-shm) holds nothing of its own. */
const BESIDE = /-(?:wal|shm|journal)$/;

/** @throws PlaygroundError `no-study` where only what lies beside a study was given, `several-studies` */
export function droppedStudy(files: readonly File[]): DroppedStudy {
  const studies = files.filter(({ name }) => !BESIDE.test(name));
  const [file] = studies;
  if (!file) {
    const names = files.map(({ name }) => name).join(', ');
    const study = files[0]?.name.replace(BESIDE, '') ?? '';
    throw new PlaygroundError('no-study', `${names} belongs to ${study}: drop ${study} together with it`);
  }
  if (studies.length > 1) {
    const names = studies.map(({ name }) => name).join(', ');
    throw new PlaygroundError('several-studies', `${names}: drop one study at a time, and what SQLite put beside it`);
  }
  const log = files.find(({ name }) => name.endsWith('-wal'));
  if (log && log.name !== `${file.name}-wal`) {
    const message = `${log.name} does not belong to ${file.name}: drop ${file.name}-wal, or the file alone`;
    throw new PlaygroundError('other-log', message);
  }
  return { file, log };
}
