// Manifests follow the one constant; a release is refused while anything is missing.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { filled, KEYWORDS, manifestFiles, withAddress } from '../lib/package-manifests.mjs';
import { reasonsAgainst } from '../lib/release.mjs';
import { manifest, repository, repositoryOf } from '../lib/repository.mjs';

const ROOT = join(import.meta.dirname, '../..');
const ours = repositoryOf('https://github.com/someone/hip-instatune');

describe('manifests', () => {
  it('of this tree follow the root package.json', () => {
    const stale = manifestFiles(manifest, repository).filter(({ now, should }) => now !== should);
    expect(stale.map(({ path }) => path)).toEqual([]);
  });

  it('have what npm shows and provenance needs, and keep what they had', () => {
    const given = {
      name: '@instatune/nsga2',
      version: '0.1.0',
      description: 'x',
      engines: { node: '>=20' },
      files: ['dist'],
    };
    const out = filled(given, 'packages/nsga2', manifest, ours);
    expect(out).toMatchObject(given);
    expect(out.repository).toEqual({
      type: 'git',
      url: 'git+https://github.com/someone/hip-instatune.git',
      directory: 'packages/nsga2',
    });
    expect(out.homepage).toBe('https://someone.github.io/hip-instatune/');
    expect(out.bugs).toEqual({ url: 'https://github.com/someone/hip-instatune/issues' });
    expect(out.keywords).toBe(KEYWORDS['@instatune/nsga2']);
    expect(filled(out, 'packages/nsga2', manifest, ours)).toEqual(out);
  });

  it('without keywords, description or engines are refused in words', () => {
    const base = { name: '@instatune/nsga2', description: 'x', engines: {} };
    expect(() => filled({ ...base, name: '@hip/unknown' }, 'packages/unknown', manifest, ours)).toThrow('keywords');
    expect(() => filled({ ...base, description: '' }, 'packages/nsga2', manifest, ours)).toThrow('no description');
    expect(() => filled({ ...base, engines: undefined }, 'packages/nsga2', manifest, ours)).toThrow('no engines');
  });

  it('and pages take another address over, and leave foreign ones', () => {
    const text =
      'https://github.com/OWNER/hip-instatune/security https://github.com/OWNER/other https://owner.github.io/hip-instatune/';
    expect(withAddress(text, ours)).toBe(
      'https://github.com/someone/hip-instatune/security https://github.com/OWNER/other https://someone.github.io/hip-instatune/',
    );
  });
});

describe('a release', () => {
  const good = {
    repository: ours,
    packages: [{ name: '@hip/attention', version: '0.1.0', changelog: '# @hip/attention\n\n## 0.1.0\n' }],
    stale: [],
    pending: [],
  };

  it('leaves when nothing stands against it', () => {
    expect(reasonsAgainst(good)).toEqual([]);
  });

  it('is refused with the placeholder, a stale manifest, a waiting changeset, a version without an entry', () => {
    const placeholder = repositoryOf('https://github.com/OWNER/hip-instatune');
    expect(reasonsAgainst({ ...good, repository: placeholder })[0]).toContain('repository.url');
    expect(reasonsAgainst({ ...good, stale: ['packages/nsga2/package.json'] })[0]).toContain('npm run manifests');
    expect(reasonsAgainst({ ...good, pending: ['.changeset/brave-cats.md'] })[0]).toContain('brave-cats');
    const [first] = good.packages;
    expect(reasonsAgainst({ ...good, packages: [{ ...first!, version: '0.2.0' }] })[0]).toContain('0.2.0');
  });
});

it('workflows pin every action to a commit', () => {
  for (const name of ['ci', 'docs', 'release']) {
    const text = readFileSync(join(ROOT, `.github/workflows/${name}.yml`), 'utf8');
    const uses = [...text.matchAll(/uses: (\S+)(.*)$/gm)].map(([, action, comment]) => `${action}${comment}`);
    expect(uses.length).toBeGreaterThan(0);
    for (const use of uses) expect(use).toMatch(/@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
  }
});
