// One constant says where the repository is; what follows from it agrees.
import { describe, expect, it } from 'vitest';
import { manifest, repository, repositoryOf } from '../lib/repository.mjs';

describe('repository', () => {
  it('reads the address in every form that manifests take', () => {
    for (const url of ['https://github.com/me/it', 'git+https://github.com/me/it.git', 'https://github.com/me/it/']) {
      const it = repositoryOf(url);
      expect(it).toMatchObject({ url: 'https://github.com/me/it', owner: 'me', name: 'it', isPlaceholder: false });
      expect(it.blob('docs/index.md')).toBe('https://github.com/me/it/blob/main/docs/index.md');
      expect(it.blob('a.ts', 7)).toBe('https://github.com/me/it/blob/main/a.ts#L7');
      expect(it.edit('README.md')).toBe('https://github.com/me/it/edit/main/README.md');
    }
    expect(repositoryOf('https://github.com/OWNER/it').isPlaceholder).toBe(true);
    expect(() => repositoryOf('https://github.com/me')).toThrow('root package.json');
  });

  it('is where homepage and bugs of the root manifest say', () => {
    expect(manifest.homepage).toBe(repository.homepage);
    expect(manifest.bugs).toBe(repository.bugs);
  });
});
