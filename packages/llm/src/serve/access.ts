// Who may ask: names of the host (against DNS rebinding), origins of pages, keys.
import { ApiError } from './api-error.ts';

/** Who may ask a server. */
export interface AccessOptions {
  /** Clients must send it as `Authorization: Bearer …`. @defaultValue none is asked for */
  readonly apiKey?: string | undefined;
  /**
   * Names under which the server may be called, beside `localhost` and IP addresses: another name may be one that an attacker's DNS
   * points here. `*` allows any.
   *
   * @defaultValue none
   */
  readonly allowedHosts?: readonly string[] | undefined;
  /** Origins of pages that may call, beside those of this machine: `https://example.org`. `*` allows any. @defaultValue none */
  readonly allowedOrigins?: readonly string[] | undefined;
}

/** Host names that no DNS answers for. */
const LITERAL = /^(localhost|.+\.localhost|\d{1,3}(\.\d{1,3}){3}|\[[\da-f:.]+\])$/i;
/** Host names of this machine. */
const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d{1,3}){3}|\[::1\])$/i;

/** @throws ApiError 403 for a host or an origin that is not allowed */
export function checkSource(request: Request, options: AccessOptions): void {
  const host = request.headers.get('host') ?? new URL(request.url).host;
  if (!isHostAllowed(host, options.allowedHosts ?? [])) {
    const message = `this server does not answer to the host ${JSON.stringify(host)}: call it by its address, or start it with that host allowed (--allow-host)`;
    throw new ApiError(403, message, { code: 'host_not_allowed' });
  }
  const origin = request.headers.get('origin');
  if (origin !== null && !isOriginAllowed(origin, options.allowedOrigins ?? [])) {
    const message = `pages of ${JSON.stringify(origin)} may not call this server: start it with that origin allowed (--allow-origin)`;
    throw new ApiError(403, message, { code: 'origin_not_allowed' });
  }
}

/** @throws ApiError 401 */
export function checkKey(request: Request, { apiKey }: AccessOptions): void {
  if (apiKey === undefined) return;
  const given = /^Bearer\s+(.*)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
  if (given !== undefined && isSame(given.trim(), apiKey)) return;
  const message =
    given === undefined ? 'no API key: send Authorization: Bearer KEY' : 'the API key is not the one of this server';
  throw new ApiError(401, message, { code: 'invalid_api_key' });
}

/** What lets a page read an answer; empty where none asked. */
export function corsHeaders(request: Request): Readonly<Record<string, string>> {
  const origin = request.headers.get('origin');
  if (origin === null) return {};
  return {
    'access-control-allow-origin': origin,
    'access-control-expose-headers': 'x-request-id, retry-after, x-should-retry',
    vary: 'Origin',
  };
}

/** Answer to a browser that asks before it asks. */
export function preflight(request: Request): Response {
  const asked = request.headers.get('access-control-request-headers');
  const isPrivate = request.headers.has('access-control-request-private-network');
  return new Response(null, {
    status: 204,
    headers: {
      ...corsHeaders(request),
      'access-control-allow-methods': 'GET, POST, OPTIONS',
      'access-control-allow-headers': asked ?? 'authorization, content-type',
      'access-control-max-age': '600',
      ...(isPrivate ? { 'access-control-allow-private-network': 'true' } : {}),
    },
  });
}

function isHostAllowed(host: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*')) return true;
  const name = host.replace(/:\d+$/, '');
  return LITERAL.test(name) || allowed.some((one) => [host, name].includes(one.toLowerCase()));
}

function isOriginAllowed(origin: string, allowed: readonly string[]): boolean {
  if (allowed.includes('*') || allowed.includes(origin)) return true;
  return URL.canParse(origin) && LOOPBACK.test(new URL(origin).hostname);
}

/** In a time that does not say where they differ. */
function isSame(a: string, b: string): boolean {
  const [one, other] = [new TextEncoder().encode(a), new TextEncoder().encode(b)];
  let difference = one.length ^ other.length;
  for (let i = 0; i < one.length; i++) difference |= (one[i] as number) ^ (other[i % Math.max(1, other.length)] ?? 0);
  return difference === 0;
}
