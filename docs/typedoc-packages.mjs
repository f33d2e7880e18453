// TypeDoc plugin: a page for each entry of a package, named as users import it, opened by what its manifest says.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Converter, ReflectionKind } from 'typedoc';
import { MarkdownPageEvent, ModuleRouter } from 'typedoc-plugin-markdown';
import { repository } from '../scripts/lib/repository.mjs';

const ROOT = resolve(import.meta.dirname, '..');

/** Every entry of every published package: what users import, where its source and its page lie, what its manifest says of it. */
export function publicEntries() {
  return globSync('packages/*/package.json', { cwd: ROOT })
    .sort()
    .flatMap((path) => {
      const { name, description, exports, private: own } = JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
      if (own) return [];
      return Object.entries(exports).map(([entry, source]) => {
        const specifier = `${name}${entry.slice(1)}`;
        return {
          specifier,
          package: name,
          folder: dirname(path).replaceAll('\\', '/'),
          description,
          source: join(ROOT, dirname(path), source),
          page: specifier.replace('@', '').replaceAll('/', '-'),
        };
      });
    });
}

const entries = publicEntries();
const ofSpecifier = new Map(entries.map((entry) => [entry.specifier, entry]));

/** What a manifest says, as a sentence about the entry. */
export const summaryOf = ({ specifier, package: name, description }) =>
  specifier === name ? description : `${description}: its entry ${specifier.slice(name.length)}`;

/** Pages flat beside each other: /api/hip-kernels-cpu-tfjs. */
class EntryRouter extends ModuleRouter {
  getIdealBaseName(reflection) {
    return ofSpecifier.get(reflection.name)?.page ?? super.getIdealBaseName(reflection);
  }

  /** An export is numbered for another export of its name, not for a member that happens to be slugged like it (Study.header, StudyHeader). */
  getAnchor(target) {
    const anchor = super.getAnchor(target);
    const base = anchor?.replace(/-\d+$/, '');
    if (base === anchor || target.parent?.kind !== ReflectionKind.Module) return anchor;
    const namesakes = target.parent.children.filter(({ name }) => name.toLowerCase() === target.name.toLowerCase());
    return namesakes.length > 1 ? anchor : base;
  }

  getFullUrl(target) {
    const [page, anchor] = super.getFullUrl(target).split('#');
    return anchor === undefined ? page : `${page}#${this.getAnchor(target)}`;
  }
}

/** Where a symbol is defined, small, and without the package, which the page is about. */
const DEFINED = /^Defined in: \[packages\/[^/]+\/([^\]]+)\]\(([^)]+)\)$/gm;

/** Headings that every symbol has are no headings: they would fill the outline and the search. */
const REPEATED =
  /^#{3,6} (Parameters|Type Parameters|Returns|Throws|Example|Examples|See|Default Value|Default|Extended by|Extends|Implements|Call Signature|Inherited from|Overrides|Implementation of|Get Signature|Set Signature|Type Declaration)$/gm;

function opening(entry) {
  const readme = repository.blob(`${entry.folder}/README.md`);
  return [
    '---',
    `title: "${entry.specifier}"`,
    `description: ${JSON.stringify(summaryOf(entry))}`,
    'editLink: false',
    'outline: [2, 3]',
    '---',
    '',
    `# ${entry.specifier}`,
    '',
    '```sh',
    `npm i ${entry.package}`,
    '```',
    '',
    `Introduction, examples and limits: [README](${readme}). Source: [${entry.folder}](${repository.tree(entry.folder)}).`,
  ].join('\n');
}

function indexPage() {
  const rows = entries.map((entry) => `| [\`${entry.specifier}\`](./${entry.page}.md) | ${summaryOf(entry)} |`);
  return [
    '---',
    'title: API',
    'description: Every export of every package, a page for each entry.',
    'editLink: false',
    '---',
    '',
    '# API',
    '',
    '| import from | what it is |',
    '|---|---|',
    ...rows,
    '',
  ].join('\n');
}

export function load(app) {
  const nameOf = ({ source }) =>
    relative(ROOT, source)
      .replaceAll('\\', '/')
      .replace(/(\/index)?\.ts$/, '');
  const ofName = new Map(entries.map((entry) => [nameOf(entry), entry]));
  app.renderer.defineRouter('entries', EntryRouter);
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (reflection.kind === ReflectionKind.Module)
      reflection.name = ofName.get(reflection.name)?.specifier ?? reflection.name;
  });
  app.renderer.on(MarkdownPageEvent.END, (page) => {
    const entry = ofSpecifier.get(page.model.name);
    page.contents = entry
      ? page.contents
          .replace(/^# .*$/m, () => opening(entry))
          .replaceAll(REPEATED, '**$1**')
          .replaceAll(DEFINED, '<small>[$1]($2)</small>')
      : indexPage();
  });
}
