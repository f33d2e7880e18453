// Cross-origin isolation by the service worker, on hosts that send no headers: registered on the first visit, which loads twice.

const KEY = 'playground-reloads';
/** Loads for its sake, one behind the other, after which the page stays as it is. */
const MOST = 2;

/** Makes the page isolated where it can be; it is loaded again then. Without it the pages work with one thread. */
export async function isolate(root: string): Promise<void> {
  // Absent in private windows of some browsers and on plain http.
  const workers = (navigator as { readonly serviceWorker?: ServiceWorkerContainer }).serviceWorker;
  try {
    if (crossOriginIsolated) return sessionStorage.removeItem(KEY);
    if (!isSecureContext || !workers) return;
    await workers.register(new URL('isolate.js', new URL(root, document.baseURI)));
    await workers.ready;
    const reloads = Number(sessionStorage.getItem(KEY) ?? 0);
    if (wasServed() || reloads >= MOST) return;
    sessionStorage.setItem(KEY, String(reloads + 1));
    location.reload();
  } catch {
    // Storage or service workers are forbidden: one thread it is.
  }
}

/** Whether the page came by the service worker: the browser knows no such isolation, where it is not isolated then. */
function wasServed(): boolean {
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  return (navigation?.workerStart ?? 0) > 0;
}
