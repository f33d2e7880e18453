// Unpacking: many processes at once see a whole folder, never half of one, and leave nothing else behind.
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { unsupportedPlatform } from '../src/archive.ts';

const reason = unsupportedPlatform();

describe.skipIf(reason)(`unpacking${reason ? ` (skipped: ${reason})` : ''}`, () => {
  it('gives four processes the same whole folder', async () => {
    const cache = await mkdtemp(join(tmpdir(), 'hip-testing-'));
    try {
      const script = `import { unpackSwiftShader } from './src/archive.ts'; process.stdout.write(await unpackSwiftShader());`;
      const options = { cwd: join(import.meta.dirname, '..'), env: { ...process.env, HIP_TESTING_CACHE: cache } };
      const runs = await Promise.all(
        Array.from({ length: 4 }, () =>
          promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], options),
        ),
      );
      const folders = new Set(runs.map((run) => run.stdout));
      expect(folders.size).toBe(1);
      const [folder] = folders;
      expect(dirname(folder!)).toBe(cache);
      expect((await readdir(folder!)).sort()).toEqual([
        'libEGL.so',
        'libGLESv2.so',
        'libvk_swiftshader.so',
        'libvulkan.so.1',
        'vk_swiftshader_icd.json',
      ]);
      expect((await stat(join(folder!, 'libvk_swiftshader.so'))).size).toBeGreaterThan(1e6);
      expect(await readdir(cache)).toHaveLength(1);
    } finally {
      await rm(cache, { recursive: true, force: true });
    }
  });
});
