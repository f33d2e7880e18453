// Writes the page of changes out of the changelogs that releases leave: the workspace's and every package's.
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');
const logs = ['CHANGELOG.md', ...globSync('packages/*/CHANGELOG.md', { cwd: ROOT }).sort()]
  .filter((path) => existsSync(join(ROOT, path)))
  .map((path) => {
    const manifest = JSON.parse(readFileSync(join(ROOT, dirname(path), 'package.json'), 'utf8'));
    // Headings one level down: the page has one title.
    const text = readFileSync(join(ROOT, path), 'utf8')
      .replace(/^# .*\n/, '')
      .replaceAll(/^(#+) /gm, '#$1 ')
      .trim();
    return `## ${manifest.name}\n\n${text}`;
  });
const { version } = JSON.parse(readFileSync(join(ROOT, 'packages/attention/package.json'), 'utf8'));
const none = `## ${version}\n\nThe first version: everything on these pages.`;
writeFileSync(
  join(import.meta.dirname, 'changelog.md'),
  `---\ndescription: What changed in each version.\neditLink: false\n---\n\n# Changelog\n\n${logs.join('\n\n') || none}\n`,
);
