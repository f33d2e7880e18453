// What a GPU device can report, as typed errors that name the value and the fix.
import { HipError } from '@hip/mask-search';

export { HipError, type HipErrorCode } from '@hip/mask-search';

/** The error for a lost device. `destroyed` means somebody called device.destroy(). */
export function deviceLostError(info: { readonly reason: string; readonly message: string }): HipError {
  return new HipError(
    'device-lost',
    `the GPU device is lost (${info.reason}): ${info.message || 'no message'}; request a new device and upload again`,
    {
      reason: info.reason,
    },
  );
}

/** Turns what an error scope caught into a typed error. `what` names the pipeline or the buffer. */
export function scopeError(filter: GPUErrorFilter, what: string, message: string): HipError {
  if (filter === 'out-of-memory') {
    return new HipError(
      'out-of-memory',
      `the GPU has no memory for ${what}: use a shorter sequence, f16 storage, or smaller chunks (${message})`,
      { what },
    );
  }
  return new HipError('internal', `the GPU refused ${what}: ${message}`, { what, filter });
}

/** A limit of the device that a call would exceed. */
export function limitError(limit: string, needed: number, available: number, fix: string): HipError {
  return new HipError('unsupported', `needs ${limit} = ${needed}, the device offers ${available}: ${fix}`, {
    limit,
    needed,
    available,
  });
}
