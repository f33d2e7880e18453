// A device that is lost while the host waits gives an error, even where its promises never settle.
import { expect, it } from 'vitest';
import { describeGpu } from '@hip/testing';
import { contextOf } from '../src/dispatch/context.ts';

describeGpu('a lost device', (gpu) => {
  it('ends a wait whose promise never settles', async () => {
    const device = await gpu.device();
    const context = contextOf(device);
    const waiting = context.orLost(new Promise<never>(() => undefined));
    device.destroy();
    await expect(waiting).rejects.toMatchObject({ name: 'HipError', code: 'device-lost' });
    await expect(context.orLost(Promise.resolve(1))).rejects.toMatchObject({ code: 'device-lost' });
  });

  it('leaves answers and failures of a live device alone', async () => {
    const device = await gpu.device();
    const context = contextOf(device);
    await expect(context.orLost(Promise.resolve(1))).resolves.toBe(1);
    await expect(context.orLost(Promise.reject(new Error('refused')))).rejects.toThrow('refused');
    device.destroy();
  });
});
