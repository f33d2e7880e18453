// What talks to Redis: imported where a queue is asked for, so that a search without one needs neither.
import { optional } from '../optional.ts';

/** BullMQ and the client under it. @throws SearchError `missing-package` */
export function queuePackages(): Promise<
  Pick<typeof import('bullmq'), 'Queue' | 'QueueEvents' | 'WaitingError' | 'Worker'> &
    Pick<typeof import('ioredis'), 'Redis'>
> {
  return optional(['bullmq', 'ioredis'], 'a queue', async () => {
    const [{ Queue, QueueEvents, WaitingError, Worker }, { Redis }] = await Promise.all([
      import('bullmq'),
      import('ioredis'),
    ]);
    return { Queue, QueueEvents, WaitingError, Worker, Redis };
  });
}
