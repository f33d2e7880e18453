// No request ends the server, and none but the owner's gets anything.
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { startLocalServer, type LocalServer } from '../../src/web/local-server.ts';
import { newFolder } from '../helpers.ts';

const folder = newFolder();
const page = join(folder, 'page.html');
writeFileSync(page, '<p>page</p>');

const serve = () =>
  startLocalServer({
    files: new Map([
      ['/', { type: 'text/html; charset=utf-8', path: page }],
      ['/gone', { type: 'text/plain', path: join(folder, 'gone') }],
    ]),
  });

/** What the server says to bytes that need not be HTTP. @param patience - milliseconds for the next bytes of its answer */
async function raw(server: LocalServer, text: string, patience = 2000): Promise<string> {
  const { port } = new URL(server.url);
  return new Promise((resolve) => {
    let said = '';
    const socket = connect(Number(port), '127.0.0.1', () => socket.end(text));
    socket.on('data', (chunk: Buffer) => (said += chunk.toString('latin1')));
    socket.on('close', () => resolve(said));
    socket.on('error', () => resolve(said));
    socket.setTimeout(patience, () => socket.destroy());
  });
}

const status = (answer: string) => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0);
const isAlive = async (server: LocalServer) => (await fetch(`${server.url}/`)).status === 200;

describe('the local server', () => {
  it('gives the page to who has the token, at this host and port only', async () => {
    await using server = await serve();
    const { host, port, pathname } = new URL(server.url);
    expect(await (await fetch(server.url)).text()).toBe('<p>page</p>');
    const ask = (target: string, lines: readonly string[]) =>
      raw(server, `GET ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`, 200_000).then(status);
    const path = `${pathname}/`;
    expect(await ask(path, [`Host: ${host}`])).toBe(200);
    expect(await ask(path, [`Host: localhost:${port}`, `Origin: http://localhost:${port}`])).toBe(200);
    for (const origin of [
      'null',
      'http://[',
      `http://127.0.0.1:${Number(port) + 1}`,
      `https://${host}`,
      'http://example.org',
      '',
    ])
      expect(await ask(path, [`Host: ${host}`, `Origin: ${origin}`]), origin).toBe(403);
    for (const other of ['127.0.0.1', `127.0.0.1:${Number(port) + 1}`, 'example.org', `example.org:${port}`, '['])
      expect(await ask(path, [`Host: ${other}`]), other).toBe(403);
    for (const target of ['/', '//', '/x/', `${pathname.slice(0, -1)}/`, `http://[`, `http://example.org${path}`, '*'])
      expect([400, 403], target).toContain(await ask(target, [`Host: ${host}`]));
    for (const target of [`/${path}`, `${path}../`, `${path}__proto__`, `${path}%2e%2e/%2e%2e/etc/passwd`])
      expect([403, 404], target).toContain(await ask(target, [`Host: ${host}`]));
    expect((await fetch(`${server.url}/`, { method: 'DELETE' })).status).toBe(405);
    expect((await fetch(`${server.url}/`, { method: 'HEAD' })).headers.get('content-length')).toBe('11');
    expect((await fetch(`${server.url}/gone`)).status).toBe(500);
    expect(await isAlive(server)).toBe(true);
  });

  it('is ended by no bytes', async () => {
    await using server = await serve();
    const { host, pathname } = new URL(server.url);
    const word = fc.oneof(
      fc.constantFrom(
        'GET',
        'POST',
        '//',
        '/',
        'http://[',
        `${pathname}/`,
        'null',
        'HTTP/1.1',
        'Host:',
        host,
        'Origin:',
        '%',
        '\0',
        '[',
        '?#',
      ),
      fc.string({ unit: 'binary', maxLength: 12 }),
    );
    const request = fc
      .tuple(
        word,
        word,
        fc.array(fc.tuple(fc.constantFrom('Host', 'Origin', 'Content-Length', 'Transfer-Encoding', 'X'), word), {
          maxLength: 4,
        }),
        fc.string(),
      )
      .map(
        ([method, target, lines, body]) =>
          `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
      );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          request,
          fc.array(word, { maxLength: 8 }).map((words) => words.join(' ')),
        ),
        async (text) => {
          expect(status(await raw(server, text))).not.toBe(500);
          expect(await isAlive(server)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });
});
