// Why a request failed, in words: fetch says `fetch failed` and hides the rest in causes.

/** Why something failed at the bottom: the deepest cause's message, with its code where the message lacks that. */
export function deepestReason(error: unknown): string {
  const { cause, errors, code, message } = Object(error) as Record<'cause' | 'errors' | 'code' | 'message', unknown>;
  // A connection that was tried at several addresses fails with one error for each.
  const below = cause ?? (Array.isArray(errors) ? (errors[0] as unknown) : undefined);
  if (below !== undefined) return deepestReason(below);
  if (typeof message !== 'string' || message === '') return String(code ?? error);
  return typeof code !== 'string' || message.includes(code) ? message : `${code}: ${message}`;
}
