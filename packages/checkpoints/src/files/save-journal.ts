// The journal of a folder that is being saved: once it is there, the folder is the new one, whatever has been renamed so far.
import type { NodeModules } from '../platform.ts';

type Files = NodeModules['node:fs/promises'];

/** Name of the journal in its folder. */
export const JOURNAL = '.saving.json';

/** A save that is decided: which staged files stand for which names, and which files are no longer part of it. */
export interface SaveJournal {
  readonly files: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
}

/** The journal of a folder; undefined where no save was broken off after it was decided. */
export async function readJournal(files: Files, folder: string): Promise<SaveJournal | undefined> {
  // It is renamed into its place whole, so that one that cannot be read was not written by a save.
  const text = await files.readFile(`${folder}/${JOURNAL}`, 'utf8').catch(() => undefined);
  try {
    const { files: staged, removed } = JSON.parse(text ?? '') as Partial<SaveJournal>;
    const names = [...Object.entries(staged ?? {}).flat(), ...(removed ?? [])];
    // Plain names beside it, and such in a folder there.
    const isPlain = (name: unknown) =>
      typeof name === 'string' && /^(?!\.\.?\/)[^/\\]+(\/(?!\.\.?$)[^/\\]+)?$/.test(name);
    const isRight = staged && removed && names.every(isPlain);
    return isRight ? { files: staged, removed } : undefined;
  } catch {
    return undefined;
  }
}

/** Where a file of a folder is: staged, in its place, or (undefined) no longer part of it. */
export async function placeOf(files: Files, folder: string, name: string): Promise<string | undefined> {
  const journal = await readJournal(files, folder);
  if (journal?.removed.includes(name)) return undefined;
  const staged = journal && Object.hasOwn(journal.files, name) ? journal.files[name] : undefined;
  if (staged === undefined) return `${folder}/${name}`;
  const isStaged = await files.stat(`${folder}/${staged}`).then(
    () => true,
    () => false,
  );
  return `${folder}/${isStaged ? staged : name}`;
}
