// One folder for the built site of a whole run: the first test file that needs the site builds it there.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    siteFolder: string;
  }
}

export function setup(project: TestProject): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'playground-'));
  project.provide('siteFolder', folder);
  return () => rmSync(folder, { recursive: true, force: true });
}
