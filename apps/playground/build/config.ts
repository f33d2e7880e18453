// How the pages are built: one HTML file each from one frame, scripts per page, workers apart, the bundled model and book beside them.
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import type { InlineConfig, Plugin } from 'vite';
import { frame } from './frame.ts';
import { PAGES } from './pages.ts';
import { storedResults } from './stored.ts';

export { PAGES, type PlaygroundPage } from './pages.ts';

const ROOT = resolve(import.meta.dirname, '..');
const DEMO = resolve(ROOT, '../demo');

const TFJS = dirname(
  createRequire(import.meta.url).resolve('@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm'),
);
const TFJS_WASM = ['tfjs-backend-wasm.wasm', 'tfjs-backend-wasm-simd.wasm', 'tfjs-backend-wasm-threaded-simd.wasm'];

const ONNXRUNTIME = dirname(createRequire(import.meta.url).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm'));
/** Its scripts start workers of themselves, and find their WebAssembly beside them: they stay as they are. */
const ONNXRUNTIME_FILES = [
  'ort.wasm.min.mjs',
  'ort-wasm-simd-threaded.mjs',
  'ort-wasm-simd-threaded.wasm',
  'ort.webgpu.min.mjs',
  'ort-wasm-simd-threaded.asyncify.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
];

/** Of what is installed. */
const versionOf = (dist: string): string =>
  (JSON.parse(readFileSync(join(dist, '../package.json'), 'utf8')) as { version: string }).version;

/** Where a file of the site comes from, by where it goes. */
const ASSETS: Readonly<Record<string, string>> = {
  'models/books-lm-6m/config.json': join(DEMO, 'model/config.json'),
  'models/books-lm-6m/generation_config.json': join(DEMO, 'model/generation_config.json'),
  'models/books-lm-6m/model.safetensors': join(DEMO, 'model/model.safetensors'),
  'models/books-lm-6m/tokenizer.json': join(DEMO, 'model/tokenizer.json'),
  'models/books-lm-6m/tokenizer_config.json': join(DEMO, 'model/tokenizer_config.json'),
  ...Object.fromEntries(TFJS_WASM.map((name) => [`tfjs/${name}`, join(TFJS, name)])),
  ...Object.fromEntries(ONNXRUNTIME_FILES.map((name) => [`onnxruntime/${name}`, join(ONNXRUNTIME, name)])),
  'texts/moby-dick.txt': join(DEMO, 'text/moby-dick.txt'),
};

/** Files that are there already are served and copied as they are. */
const assets: Plugin = {
  name: 'playground-assets',
  configureServer(server) {
    server.middlewares.use((request, response, next) => {
      const from = ASSETS[(request.url ?? '').split('?')[0]!.slice(1)];
      if (!from) return next();
      const type = /\.m?js$/.test(from) ? 'text/javascript' : 'application/octet-stream';
      response.setHeader('Content-Type', type);
      void import('node:fs').then(({ createReadStream }) => createReadStream(from).pipe(response));
    });
  },
  writeBundle({ dir }) {
    for (const [to, from] of Object.entries(ASSETS)) {
      const target = join(dir!, to);
      mkdirSync(dirname(target), { recursive: true });
      if (!existsSync(from)) throw new Error(`${from} is missing: the playground's ${to} is a copy of it`);
      copyFileSync(from, target);
    }
  },
};

/** Safari has no `Symbol.dispose`, nor have older browsers: both sides of a `using` agree on a registered symbol there. */
const disposable: Plugin = {
  name: 'disposable-everywhere',
  renderChunk: (code) =>
    code.replaceAll(/\bSymbol\.(asyncDispose|dispose)\b(?!")/g, '(Symbol.$1 ?? Symbol.for("Symbol.$1"))'),
};

const shell = (docs: string | undefined): Plugin => ({
  name: 'playground-frame',
  transformIndexHtml: { order: 'pre', handler: (html, { path }) => frame(html, path, docs) },
});

export interface PlaygroundOptions {
  /** Where the documentation lies from the playground's root; none: it is not linked. @defaultValue '../' */
  readonly docs?: string | undefined;
}

/** @param outDir - where the site goes. @defaultValue dist */
export function playgroundConfig(outDir = join(ROOT, 'dist'), options: PlaygroundOptions = {}): InlineConfig {
  const { docs } = { docs: '../', ...options };
  return {
    configFile: false,
    root: ROOT,
    // Wherever it lies, below whatever name.
    base: './',
    logLevel: 'error',
    publicDir: false,
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    define: {
      STORED_RESULTS: JSON.stringify(storedResults()),
      PEER_VERSIONS: JSON.stringify({ tfjs: versionOf(TFJS), 'onnxruntime-web': versionOf(ONNXRUNTIME) }),
    },
    plugins: [shell(docs), assets, disposable],
    worker: { format: 'es', plugins: () => [disposable] },
    build: {
      outDir,
      emptyOutDir: true,
      target: 'es2022',
      modulePreload: { polyfill: false },
      // Models and WebAssembly are files of their own.
      assetsInlineLimit: 0,
      chunkSizeWarningLimit: 1e6,
      rolldownOptions: {
        input: {
          ...Object.fromEntries(PAGES.map(({ path }) => [path || 'index', join(ROOT, path, 'index.html')])),
          isolate: join(ROOT, 'src/shell/service-worker.ts'),
        },
        output: {
          // A service worker serves what lies beside and below it, and keeps its name.
          entryFileNames: ({ name }) => (name === 'isolate' ? 'isolate.js' : 'assets/[name]-[hash].js'),
        },
      },
    },
  };
}
