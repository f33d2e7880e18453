// Loaded into the served process (`--import`): says over the channel to its parent what the process holds.
import { held } from './held.ts';

process.on('message', (isCollected: boolean) => {
  if (isCollected) globalThis.gc?.();
  process.send?.(held());
});
// Being asked must not keep the process alive.
process.channel?.unref();
