// The service worker: where a host sends no headers, it adds those that isolate the pages, so that threads can share memory.
// Documents and workers alone need them; everything else, models above all, goes past it.
interface FetchLike extends Event {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}

interface WorkerScope extends EventTarget {
  skipWaiting(): Promise<void>;
  readonly clients: { claim(): Promise<void> };
}

const scope = globalThis as unknown as WorkerScope;

scope.addEventListener('install', () => void scope.skipWaiting());
scope.addEventListener('activate', (event) => {
  (event as Event & { waitUntil(promise: Promise<void>): void }).waitUntil(scope.clients.claim());
});
scope.addEventListener('fetch', (event) => {
  const { request } = event as FetchLike;
  const isOwn = new URL(request.url).origin === location.origin;
  if (!isOwn || !(request.mode === 'navigate' || request.destination === 'worker')) return;
  (event as FetchLike).respondWith(isolated(request));
});

async function isolated(request: Request): Promise<Response> {
  const response = await fetch(request);
  // A redirect is followed by the browser, which asks again.
  if (response.type === 'opaqueredirect' || response.status === 0) return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
