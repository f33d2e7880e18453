// TypeDoc plugin: modules are called what users import (@hip/kernels-cpu/tfjs), not where their source lies.
import { globSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Converter, ReflectionKind } from 'typedoc';

const ROOT = resolve(import.meta.dirname, '..');

/** Source file without its ending, relative to packages/ as TypeDoc names it → import specifier. */
function specifiers() {
  const names = new Map();
  for (const path of globSync('packages/*/package.json', { cwd: ROOT })) {
    const { name, exports } = JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
    for (const [entry, source] of Object.entries(exports ?? {})) {
      const file = relative(join(ROOT, 'packages'), join(ROOT, dirname(path), source)).replaceAll('\\', '/');
      names.set(file.replace(/(\/index)?\.ts$/, ''), `${name}${entry.slice(1)}`);
    }
  }
  return names;
}

export function load(app) {
  const names = specifiers();
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (_, reflection) => {
    if (reflection.kind === ReflectionKind.Module) reflection.name = names.get(reflection.name) ?? reflection.name;
  });
}
