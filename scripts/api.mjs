// Reports of every public entry's surface (packages/*/api/*.api.md) from the built declarations: writes them; --check fails on a difference.
// Run `npm run build` first. A change of the surface then shows in review.
import { createRequire } from 'node:module';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { ROOT } from './toolchain.mjs';
import { changedLines, reportName } from './lib/api-report.mjs';

const { Extractor, ExtractorConfig } = createRequire(import.meta.url)('@microsoft/api-extractor');
const compilerOptions = {
  target: 'esnext',
  module: 'nodenext',
  moduleResolution: 'nodenext',
  lib: ['esnext', 'dom'],
  types: [],
  skipLibCheck: true,
};

/** The report of one entry, as text. */
function report(folder, declarations, workplace) {
  const configObject = {
    projectFolder: folder,
    mainEntryPointFilePath: declarations,
    compiler: { overrideTsconfig: { compilerOptions } },
    apiReport: { enabled: true, reportFileName: 'entry.api.md', reportFolder: workplace, reportTempFolder: workplace },
    docModel: { enabled: false },
    dtsRollup: { enabled: false },
    tsdocMetadata: { enabled: false },
  };
  const config = ExtractorConfig.prepare({
    configObject,
    configObjectFullPath: undefined,
    packageJsonFullPath: join(folder, 'package.json'),
  });
  const errors = [];
  const messageCallback = (message) => {
    if (message.logLevel === 'error') errors.push(message.text);
    message.logLevel = 'none';
  };
  Extractor.invoke(config, { localBuild: true, messageCallback });
  if (errors.length > 0) throw new Error(`${declarations}: ${errors.join('; ')}`);
  return readFileSync(join(workplace, 'entry.api.md'), 'utf8').replaceAll('\r\n', '\n');
}

const check = process.argv.includes('--check');
const workplace = mkdtempSync(join(tmpdir(), 'api-'));
try {
  for (const path of globSync('packages/*/package.json', { cwd: ROOT }).sort()) {
    const folder = join(ROOT, dirname(path));
    const manifest = JSON.parse(readFileSync(join(ROOT, path), 'utf8'));
    if (manifest.private) continue;
    for (const [entry, target] of Object.entries(manifest.publishConfig.exports)) {
      if (!target.types) continue;
      const declarations = join(folder, target.types);
      if (!existsSync(declarations)) throw new Error(`${declarations} is not built: npm run build`);
      const text = report(folder, declarations, workplace);
      const file = join(folder, 'api', reportName(entry));
      const changes = changedLines(existsSync(file) ? readFileSync(file, 'utf8') : '', text);
      if (changes.length === 0) continue;
      process.stdout.write(`${manifest.name}${entry.slice(1)}: ${check ? 'differs from its report' : 'written'}\n`);
      if (!check) {
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, text);
        continue;
      }
      process.stdout.write(`${changes.slice(0, 20).join('\n')}\nrun: npm run build && npm run api\n`);
      process.exitCode = 1;
    }
  }
} finally {
  rmSync(workplace, { recursive: true, force: true });
}
