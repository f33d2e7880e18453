// Saving a folder: killed at any moment it holds the old files or the new ones; full and read-only disks, other saves are typed errors.
import * as system from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { folderFiles } from '../../src/files/files.ts';
import { acquireLock } from '../../src/files/lock.ts';
import { saveFolder } from '../../src/files/save-folder.ts';

const files = process.getBuiltinModule('node:fs/promises');
const encode = (text: string) => new TextEncoder().encode(text);
const OLD = { 'config.json': 'old', 'a.safetensors': 'old', 'b.safetensors': 'old' };
const NEW = { 'config.json': 'new', 'a.safetensors': 'new', 'c.safetensors': 'new' };
const isObsolete = (name: string) => name.endsWith('.safetensors');
const save = (folder: string, texts: Record<string, string>) =>
  saveFolder(
    folder,
    Object.entries(texts).map(([name, text]) => ({ name, chunks: [encode(text), encode('!')] })),
    { isObsolete },
  );
/** What a reader finds. */
async function found(folder: string): Promise<Record<string, string>> {
  const place = folderFiles(folder);
  const names = (await place.list!()).filter((name) => !name.startsWith('.')).toSorted();
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, (await place.text(name))!.replace('!', '')])),
  );
}

let folder: string;
beforeEach(async () => {
  folder = join(await system.mkdtemp(join(tmpdir(), 'save-')), 'model');
});
afterEach(async () => {
  vi.restoreAllMocks();
  await system.rm(join(folder, '..'), { recursive: true });
});

/** From the nth call on that changes something, the process is dead: nothing it asks for happens. */
function dieAt(call: number, code = 'EIO') {
  let calls = 0;
  const dead = () => Object.assign(new Error(`${code}: killed`), { code, syscall: 'write' });
  for (const name of ['open', 'rename', 'rm', 'link', 'writeFile', 'mkdir', 'readdir', 'utimes'] as const) {
    const real = files[name] as (...args: unknown[]) => Promise<unknown>;
    vi.spyOn(files, name).mockImplementation((async (...args: unknown[]) => {
      if (++calls >= call) throw dead();
      return real(...args);
    }) as never);
  }
  return () => calls;
}

describe('saveFolder', () => {
  it('killed at any moment leaves the old files or the new ones, and the next save tidies up', async () => {
    await save(folder, OLD);
    const count = dieAt(Infinity);
    await save(folder, NEW);
    const calls = count();
    vi.restoreAllMocks();
    expect(await found(folder)).toEqual(NEW);
    const seen = new Set<unknown>();
    for (let call = 1; call <= calls; call++) {
      await save(folder, OLD);
      expect(await found(folder)).toEqual(OLD);
      expect((await system.readdir(folder)).filter((name) => name.startsWith('.'))).toEqual([]);
      dieAt(call);
      await save(folder, NEW).catch(() => {});
      vi.restoreAllMocks();
      const now = await found(folder);
      seen.add(now['config.json']);
      expect([OLD, NEW]).toContainEqual(now);
      // The lock of a process that is gone.
      await system.rm(join(folder, '.saving.lock'), { force: true });
    }
    expect(seen).toEqual(new Set(['old', 'new']));
  });

  it('any two checkpoints, any moment', async () => {
    const names = fc.constantFrom('config.json', 'a.safetensors', 'b.safetensors', 'tokenizer.json');
    const checkpoint = fc.dictionary(names, fc.constantFrom('x', 'y', 'z'), { minKeys: 1 });
    await fc.assert(
      fc.asyncProperty(checkpoint, checkpoint, fc.integer({ min: 1, max: 40 }), async (before, after, call) => {
        await system.rm(folder, { recursive: true, force: true });
        await save(folder, before);
        dieAt(call);
        await save(folder, after).catch(() => {});
        vi.restoreAllMocks();
        const kept = Object.fromEntries(Object.entries(before).filter(([name]) => !isObsolete(name)));
        expect([before, { ...kept, ...after }]).toContainEqual(await found(folder));
      }),
      { numRuns: 15 },
    );
  });

  it.each(['ENOSPC', 'EROFS', 'EACCES'])('%s is typed, the old files stay, nothing else does', async (code) => {
    await save(folder, OLD);
    const refuse = vi.spyOn(files, 'open').mockRejectedValue(Object.assign(new Error(code), { code, syscall: 'open' }));
    await expect(save(folder, NEW)).rejects.toMatchObject({ code: 'file-access', details: { code } });
    refuse.mockRestore();
    expect(await found(folder)).toEqual(OLD);
    expect(await system.readdir(folder)).toHaveLength(3);
  });

  it('fails as its chunks do, and is aborted between files', async () => {
    await save(folder, OLD);
    const broken = (function* () {
      yield encode('half');
      throw new TypeError('no more');
    })();
    await expect(saveFolder(folder, [{ name: 'config.json', chunks: broken }])).rejects.toThrow('no more');
    await expect(
      saveFolder(folder, [{ name: 'config.json', chunks: [] }], { signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'aborted' });
    expect(await found(folder)).toEqual(OLD);
    expect(await system.readdir(folder)).toHaveLength(3);
  });

  it('is refused while another one is under way', async () => {
    await save(folder, OLD);
    await using _lock = await acquireLock(join(folder, '.saving.lock'), 'a test');
    await expect(save(folder, NEW)).rejects.toMatchObject({ code: 'file-access', details: { pid: process.pid } });
    expect(await found(folder)).toEqual(OLD);
  });
});

describe('acquireLock', () => {
  const lockOf = async (owner: object, age = 0) => {
    await system.mkdir(folder, { recursive: true });
    const path = join(folder, 'x.lock');
    await system.writeFile(path, JSON.stringify(owner));
    const then = new Date(Date.now() - age);
    await system.utimes(path, then, then);
    return path;
  };

  it('takes over what a process left that is gone, or that gave no sign of life', async () => {
    await system.mkdir(folder, { recursive: true });
    const path = join(folder, 'x.lock');
    await (await acquireLock(path, 'x'))[Symbol.asyncDispose]();
    expect(await system.readdir(folder)).toEqual([]);
    const owner = await acquireLock(path, 'x');
    const own = JSON.parse(await system.readFile(path, 'utf8')) as Record<string, unknown>;
    await expect(acquireLock(path, 'x')).rejects.toMatchObject({ code: 'file-access' });
    await owner.confirm();
    // A number that another process has now, and one that none has.
    for (const gone of [{ begun: '1' }, { pid: 2 ** 22 + 1 }]) {
      await lockOf({ ...own, token: 'other', ...gone });
      await using lock = await acquireLock(path, 'x');
      await lock.confirm();
      await expect(owner.confirm()).rejects.toMatchObject({ code: 'file-access' });
    }
    // Elsewhere numbers mean other processes: only the age tells.
    await lockOf({ ...own, host: 'elsewhere', pid: 2 ** 22 + 1 });
    await expect(acquireLock(path, 'x')).rejects.toMatchObject({ details: { host: 'elsewhere' } });
    await lockOf({ ...own, space: 'pid:[1]', pid: 2 ** 22 + 1 });
    await expect(acquireLock(path, 'x')).rejects.toMatchObject({ code: 'file-access' });
    await lockOf({ ...own, host: 'elsewhere' }, 120_000);
    await using late = await acquireLock(path, 'x');
    await late.confirm();
    await owner[Symbol.asyncDispose]();
    await late.confirm();
  });

  it('of many that take over at once, one has it', async () => {
    const path = await lockOf({ token: 'gone', pid: 2 ** 22 + 1, host: 'elsewhere' }, 120_000);
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => acquireLock(path, 'x')));
    const held = tries.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    const confirmed = await Promise.allSettled(held.map((lock) => lock.confirm()));
    expect(confirmed.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const lock of held) await lock[Symbol.asyncDispose]();
    expect(await system.readdir(folder)).toEqual([]);
  });
});
