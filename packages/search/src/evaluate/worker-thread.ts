// Runs inside a worker thread of `workerPool`.
import { parentPort, workerData } from 'node:worker_threads';
import { serve, type MemberData } from './member.ts';

const port = parentPort;
if (port) {
  const measure = serve(workerData as MemberData, (message) => port.postMessage(message));
  port.on('message', measure);
}
