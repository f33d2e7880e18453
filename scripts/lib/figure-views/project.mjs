// The playground and the size of everything.
import { view, where } from './view.mjs';

export const project = [
  { name: 'playground', title: 'The playground in headless Chromium' },
  {
    name: 'size',
    title: 'Size',
    tables: (document) => {
      const entries = where(document, { import: '*' });
      const least = (entry) =>
        Math.min(
          ...document.rows.filter((row) => row.entry === entry && row.import !== '*').map((row) => row.gzipBytes),
        );
      return [
        view('Gzip bytes, minified, with the workspace packages that an entry imports', entries, {
          entry: ({ entry }) => `\`${entry}\``,
          everything: 'gzipBytes',
          'of it loaded on demand': ({ onDemandGzipBytes }) => onDemandGzipBytes || undefined,
          'its own code': 'ownGzipBytes',
          'smallest single import': ({ entry }) => (Number.isFinite(least(entry)) ? least(entry) : undefined),
          'left out: registry packages it imports': ({ external }) => external.join(', '),
        }),
      ];
    },
  },
];
