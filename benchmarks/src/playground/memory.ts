// What a page leaves behind: memory of the browser's renderer and GPU processes before a model, with it, and after the page is left.
import { readFileSync } from 'node:fs';
import type { OpenedBrowser } from '@hip/testing/browser';
import { openIsolated, press, status, type Page } from './page.ts';

type Row = Record<string, unknown>;

/** Until processes have given back what they will. */
const SETTLE_MS = 4000;

interface Plan {
  readonly backend: 'wasm' | 'webgpu';
  /** Room for so many tokens. */
  readonly tokens: number;
  /** Whether a text is read, too: not where WebGPU is computed in software. */
  readonly reads: boolean;
}

/** Goes to the page and leaves it three times, by which a leak would show. */
export async function memoryRows(
  opened: OpenedBrowser,
  root: string,
  plan: Plan,
  log: (line: string) => void,
): Promise<Row[]> {
  await using tab = await opened.page({ root, isolated: false });
  const { page, url } = tab;
  const rows: Row[] = [];
  const note = async (when: string): Promise<void> => {
    log(`memory, ${plan.backend}: ${when}`);
    await settle(page);
    rows.push({ page: '/document', ...plan, when, ...(await processes(opened)), workers: page.workers().length });
  };
  await openIsolated(page, `${url}/`);
  await note('before');
  for (const time of ['first', 'second', 'third']) {
    await page.goto(`${url}/document/`, { waitUntil: 'load' });
    await page.select('select[name=backend]', plan.backend);
    await page.select('select[name=tokens]', String(plan.tokens));
    await press(page, 'button[name=load]');
    await status(page, /^llama: 6 layers/);
    if (plan.reads) {
      await press(page, 'button[name=book]');
      await status(page, /characters/);
      await press(page, 'button[name=read]');
      await status(page, /^HiP read/, 30);
    }
    await note(`${time} model`);
    await page.goto(`${url}/`, { waitUntil: 'load' });
    await note(`left, ${time} time`);
  }
  return rows;
}

async function settle(page: Page): Promise<void> {
  const session = await page.createCDPSession();
  await session.send('HeapProfiler.collectGarbage');
  await session.detach();
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
}

/** Resident MiB of all renderers and of the GPU process. */
async function processes({ browser }: OpenedBrowser): Promise<Row> {
  const session = await browser.target().createCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  const sum = (type: string): number =>
    Math.round(processInfo.filter((one) => one.type === type).reduce((all, { id }) => all + residentMiB(id), 0));
  return { rendererMiB: sum('renderer'), gpuMiB: sum('GPU') };
}

function residentMiB(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } catch {
    // It has ended meanwhile.
    return 0;
  }
}
