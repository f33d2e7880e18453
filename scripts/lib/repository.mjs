// Where the repository is: one constant, `repository.url` of the root package.json, which links of documents, manifests and pages come from.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../toolchain.mjs';

const BRANCH = 'main';
/** Owner's name until the owner has filled in the address. */
const PLACEHOLDER = 'OWNER';

/**
 * @param url as manifests write it: `https://github.com/owner/name`, also with git+ before and .git after
 * @returns the address without either, the links that follow from it, and whether it is still the placeholder
 */
export function repositoryOf(url) {
  const plain = url
    .replace(/^git\+/, '')
    .replace(/\.git$/, '')
    .replace(/\/$/, '');
  const [owner, name] = new URL(plain).pathname.slice(1).split('/');
  if (!owner || !name)
    throw new Error(`repository.url is "${url}": write https://github.com/OWNER/NAME into the root package.json`);
  return {
    url: plain,
    owner,
    name,
    isPlaceholder: owner === PLACEHOLDER,
    /** `homepage` and `bugs` of the manifests. */
    homepage: `https://${owner.toLowerCase()}.github.io/${name}/`,
    bugs: `${plain}/issues`,
    /** A file as the site of the repository shows it. */
    blob: (path, line) => `${plain}/blob/${BRANCH}/${path}${line ? `#L${line}` : ''}`,
    /** A folder likewise. */
    tree: (path) => `${plain}/tree/${BRANCH}/${path}`,
    /** The page that edits a file. */
    edit: (path) => `${plain}/edit/${BRANCH}/${path}`,
  };
}

export const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
export const repository = repositoryOf(manifest.repository.url);
