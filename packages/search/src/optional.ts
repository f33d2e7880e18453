// Packages that only a queue or a report needs: optional peers, asked for where they are used.
import { SearchError, messageOf } from './errors.ts';

/**
 * What `load` imports, or one error that says how to install it.
 *
 * @param packages - names as on the registry
 * @param what - subject of the message, e.g. `a queue`
 * @throws SearchError `missing-package`
 */
export async function optional<T>(packages: readonly string[], what: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (cause) {
    const names = packages.join(' and ');
    const message = `${what} needs ${names}, which cannot be imported here (${messageOf(cause)}): npm i ${packages.join(' ')}`;
    throw new SearchError('missing-package', message, { packages }, { cause });
  }
}
