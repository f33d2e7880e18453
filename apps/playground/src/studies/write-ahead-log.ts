// SQLite's write-ahead log, applied to its database in memory (sqlite.org/fileformat2.html, section 4): sql.js has no file system to put it into.
import { PlaygroundError } from '../rpc/protocol.ts';

const HEADER = 32;
const FRAME_HEADER = 24;
/** 0x377f0682, or 0x377f0683 where checksums read words big-endian. */
const MAGIC = 0x377f0682;
const VERSION = 3_007_000;

/** Where the database's header says how its pages are written and read: 2 is by a write-ahead log. */
const [WRITE_VERSION, READ_VERSION] = [18, 19];
/** Where it counts its pages. */
const PAGES = 28;

/** Whether a database is written through a log that lies beside it. */
export const usesLog = (database: Uint8Array): boolean => database[READ_VERSION] === 2;

/** Whether no page is missing that the database's header counts. */
export function isWhole(database: Uint8Array): boolean {
  const pages = new DataView(database.buffer, database.byteOffset).getUint32(PAGES);
  return database.length >= pages * (pageSizeOf(database) ?? 0);
}

/** Marks a database as one without a log, which opens alone. */
export function withoutLog(database: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  database[WRITE_VERSION] = 1;
  database[READ_VERSION] = 1;
  return database;
}

export function isLog(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER) return false;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return (view.getUint32(0) & ~1) >>> 0 === MAGIC && view.getUint32(4) === VERSION;
}

/**
 * A database as a reader sees it that opens it together with its log: pages of every transaction that is whole in it, the newest last.
 * Frames of an earlier log that was written over, and the torn end of one, are no part of it.
 *
 * @param name - of the log, for messages
 * @throws PlaygroundError `corrupt-log` where its beginning is no log's, or is another database's
 */
export function applyLog(
  database: Uint8Array<ArrayBuffer>,
  log: Uint8Array<ArrayBuffer>,
  name: string,
): Uint8Array<ArrayBuffer> {
  // SQLite empties a log whose transactions are all in the database.
  if (log.length === 0) return database;
  if (!isLog(log)) throw corrupt(name, 'does not begin as a write-ahead log');
  const view = new DataView(log.buffer, log.byteOffset, log.byteLength);
  const pageSize = view.getUint32(8);
  const own = pageSizeOf(database);
  if (own !== undefined && own !== pageSize)
    throw corrupt(name, `has pages of ${pageSize} bytes, the database of ${own}`);
  const { pages, count } = committed(log, view, pageSize);
  if (count === 0) return database;
  const result = new Uint8Array(count * pageSize);
  result.set(database.subarray(0, result.length));
  for (const [page, at] of pages) {
    if (page <= count) result.set(log.subarray(at, at + pageSize), (page - 1) * pageSize);
  }
  return result;
}

const corrupt = (name: string, why: string): PlaygroundError =>
  new PlaygroundError(
    'corrupt-log',
    `${name} ${why}: take the study file and its -wal file again together, while no search writes them`,
  );

/** Of a database that has a header. */
function pageSizeOf(database: Uint8Array): number | undefined {
  if (database.length < 100) return undefined;
  const size = (database[16]! << 8) | database[17]!;
  return size === 1 ? 65_536 : size;
}

/** Where the newest content of each page lies, and how many pages the database has after the last whole transaction. */
function committed(
  log: Uint8Array,
  view: DataView,
  pageSize: number,
): { readonly pages: ReadonlyMap<number, number>; readonly count: number } {
  const littleEndian = (view.getUint32(0) & 1) === 0;
  const salts = [view.getUint32(16), view.getUint32(20)] as const;
  const sum = new Checksum(view, littleEndian);
  sum.add(0, FRAME_HEADER);
  const pages = new Map<number, number>();
  const waiting = new Map<number, number>();
  let count = 0;
  if (!sum.equals(24)) return { pages, count };
  for (let at = HEADER; at + FRAME_HEADER + pageSize <= log.length; at += FRAME_HEADER + pageSize) {
    if (view.getUint32(at + 8) !== salts[0] || view.getUint32(at + 12) !== salts[1]) break;
    sum.add(at, at + 8);
    sum.add(at + FRAME_HEADER, at + FRAME_HEADER + pageSize);
    if (!sum.equals(at + 16)) break;
    waiting.set(view.getUint32(at), at + FRAME_HEADER);
    const size = view.getUint32(at + 4);
    if (size === 0) continue;
    for (const [page, place] of waiting) pages.set(page, place);
    waiting.clear();
    count = size;
  }
  return { pages, count };
}

/** Of all bytes so far, pairs of words of 32 bits. */
class Checksum {
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  #first = 0;
  #second = 0;

  constructor(view: DataView, littleEndian: boolean) {
    this.#view = view;
    this.#littleEndian = littleEndian;
  }

  add(from: number, to: number): void {
    for (let at = from; at < to; at += 8) {
      this.#first = (this.#first + this.#view.getUint32(at, this.#littleEndian) + this.#second) >>> 0;
      this.#second = (this.#second + this.#view.getUint32(at + 4, this.#littleEndian) + this.#first) >>> 0;
    }
  }

  /** Whether it is the one that stands there, big-endian. */
  equals(at: number): boolean {
    return this.#first === this.#view.getUint32(at) && this.#second === this.#view.getUint32(at + 4);
  }
}
