// Starts headless Chromium out of npm, with WebGPU (SwiftShader where there is no GPU), or says why it cannot.
import { join } from 'node:path';
import { launch, type Browser, type Page } from 'puppeteer-core';
import { unpackChromium, unsupportedPlatform } from '../archive.ts';
import { bundle, type Bundler } from './bundle.ts';
import { serve, type ServeOptions } from './server.ts';

export interface TestPage extends AsyncDisposable {
  readonly page: Page;
  readonly url: string;
  /** Uncaught errors, failed requests and console errors of the page so far. */
  readonly errors: readonly string[];
}

export interface PageOptions extends ServeOptions {
  /** Absolute path of a TypeScript module to bundle and load in the page. @defaultValue none */
  readonly entry?: string;
  /** What bundles `entry`. @defaultValue 'rolldown' */
  readonly bundler?: Bundler;
}

export interface OpenedBrowser extends AsyncDisposable {
  readonly kind: 'chromium';
  readonly reason?: undefined;
  readonly version: string;
  readonly browser: Browser;
  /** Serves the page from localhost, opens it, waits until it has loaded. Dispose of it when done. */
  page(options?: PageOptions): Promise<TestPage>;
}

export interface NoBrowser {
  readonly kind: 'none';
  readonly reason: string;
}

const FLAGS = [
  '--no-sandbox',
  '--disable-setuid-sandbox',
  '--no-zygote',
  '--disable-dev-shm-usage',
  '--enable-unsafe-webgpu',
  '--enable-unsafe-swiftshader',
  '--ignore-gpu-blocklist',
];

/**
 * Milliseconds that a start, a load, a wait or an evaluation may take, as many as a test: a machine whose cores are shared is slow, and
 * what a page computes in software is, too. puppeteer's own are 30 s, and 180 s for an evaluation.
 */
const PATIENCE = 600_000;

/** Milliseconds that an orderly end may take before the browser is killed: a suite whose tests have passed does not fail by one that hangs. */
const GOODBYE = 60_000;

/** Waits for `ending`, but no longer than {@link GOODBYE}. @returns whether it has ended */
async function ended(ending: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), GOODBYE);
  });
  try {
    return await Promise.race([ending.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function closeBrowser(browser: Browser): Promise<void> {
  if (!(await ended(browser.close()))) browser.process()?.kill('SIGKILL');
}

const PAGE = '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">';

async function openPage(browser: Browser, { entry, bundler, files = {}, ...rest }: PageOptions): Promise<TestPage> {
  const bundled = entry ? await bundle(entry, bundler) : {};
  const html = `${PAGE}${entry ? '<script type="module" src="/entry.js"></script>' : ''}`;
  const server = await serve({ ...rest, files: { ...(rest.root ? {} : { '/': html }), ...bundled, ...files } });
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE);
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.on('requestfailed', (request) => errors.push(`${request.url()}: ${request.failure()?.errorText ?? 'failed'}`));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(message.text());
  });
  const close = async () => {
    await ended(page.close());
    await server[Symbol.asyncDispose]();
  };
  try {
    await page.goto(server.url, { waitUntil: 'load' });
  } catch (error) {
    await close();
    throw error;
  }
  return { page, url: server.url, errors, [Symbol.asyncDispose]: close };
}

/**
 * Starts a browser. Never throws: where none can run the result says why.
 *
 * @example
 * ```ts
 * const browser = await openBrowser();
 * if (browser.kind === 'none') throw new Error(browser.reason);
 * const { page } = await browser.page();
 * const isolated = await page.evaluate('crossOriginIsolated');
 * await browser[Symbol.asyncDispose]();
 * ```
 */
export async function openBrowser(): Promise<OpenedBrowser | NoBrowser> {
  const reason = unsupportedPlatform();
  if (reason) return { kind: 'none', reason };
  try {
    const folder = await unpackChromium();
    const driver = join(folder, 'vk_swiftshader_icd.json');
    const browser = await launch({
      executablePath: join(folder, 'chromium'),
      headless: 'shell',
      args: FLAGS,
      timeout: PATIENCE,
      protocolTimeout: PATIENCE,
      env: {
        ...process.env,
        LD_LIBRARY_PATH: [join(folder, 'lib'), folder, process.env['LD_LIBRARY_PATH'] ?? ''].join(':'),
        VK_DRIVER_FILES: driver,
        VK_ICD_FILENAMES: driver,
        FONTCONFIG_PATH: folder,
      },
    });
    return {
      kind: 'chromium',
      version: await browser.version(),
      browser,
      page: (options = {}) => openPage(browser, options),
      [Symbol.asyncDispose]: () => closeBrowser(browser),
    };
  } catch (error) {
    return {
      kind: 'none',
      reason: `Chromium did not start: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`,
    };
  }
}
