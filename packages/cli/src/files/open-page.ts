// Where the page that times latencies is opened: in a browser that is started for it, or in one that the user has.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Says where the page is, or starts a browser on it, without a window, which ends with the run.
 *
 * @param browser program of a Chromium browser, with options of its own after it
 */
export function pageOpener(browser: string | undefined, signal: AbortSignal): (url: string) => Disposable {
  return (url) => {
    if (browser === undefined) {
      process.stderr.write(`open ${url} in the browser to time in, and leave it open\n`);
      return { [Symbol.dispose]: () => {} };
    }
    const [program = '', ...options] = browser.split(/\s+/).filter((part) => part !== '');
    const profile = mkdtempSync(join(tmpdir(), 'instatune-browser-'));
    const child = spawn(
      program,
      ['--headless=new', `--user-data-dir=${profile}`, '--no-first-run', '--enable-unsafe-webgpu', ...options, url],
      { stdio: 'ignore', signal },
    );
    child.on('error', (error) => {
      if (!signal.aborted)
        process.stderr.write(`cannot start ${program} (${error.message}): open ${url} in a browser\n`);
    });
    return {
      [Symbol.dispose]: () => {
        child.once('close', () => rmSync(profile, { recursive: true, force: true }));
        child.kill();
      },
    };
  };
}
