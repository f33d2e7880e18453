// Cross-origin isolation by the service worker, on hosts that send no headers: registered on the first visit, which loads twice.

const KEY = 'playground-isolated';

/** Makes the page isolated where it can be; it is loaded again then. Without it the pages work with one thread. */
export async function isolate(root: string): Promise<void> {
  // Absent in private windows of some browsers and on plain http.
  const workers = (navigator as { readonly serviceWorker?: ServiceWorkerContainer }).serviceWorker;
  if (crossOriginIsolated || !isSecureContext || !workers) return;
  try {
    await workers.register(new URL('isolate.js', new URL(root, document.baseURI)));
    await workers.ready;
    if (sessionStorage.getItem(KEY) !== null) return;
    sessionStorage.setItem(KEY, '');
    location.reload();
  } catch {
    // Storage or service workers are forbidden: one thread it is.
  }
}
