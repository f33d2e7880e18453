// API pages: one for each entry that a package exports. A new package or entry has its page by being in a manifest.
import { repository } from '../scripts/lib/repository.mjs';
import { publicEntries } from './typedoc-packages.mjs';

export default {
  name: 'API',
  entryPoints: publicEntries().map(({ source }) => source),
  tsconfig: './tsconfig.typedoc.json',
  plugin: ['./typedoc-packages.mjs', 'typedoc-plugin-markdown', 'typedoc-vitepress-theme'],
  out: './api',
  docsRoot: '.',
  readme: 'none',
  excludeInternal: true,
  excludePrivate: true,
  skipErrorChecking: true,
  disableGit: true,
  gitRevision: 'main',
  basePath: '..',
  sourceLinkTemplate: repository.blob('packages/{path}', '{line}'),
  logLevel: 'Warn',
  validation: { invalidLink: true, notExported: false },
  // A page an entry, not a page a symbol: every page carries the whole sidebar, so 767 of them weighed 316 MB.
  router: 'entries',
  hidePageHeader: true,
  hideBreadcrumbs: true,
  useCodeBlocks: true,
  parametersFormat: 'table',
  interfacePropertiesFormat: 'table',
  classPropertiesFormat: 'table',
  typeAliasPropertiesFormat: 'table',
  propertyMembersFormat: 'table',
  typeDeclarationFormat: 'table',
  groupOrder: ['Functions', 'Classes', 'Interfaces', '*'],
  tableColumnSettings: { hideSources: true, hideInherited: true, hideModifiers: true, hideOverrides: true },
};
