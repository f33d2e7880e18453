// A set of genomes: open addressing over the bits of the genes, so that a duplicate check costs no strings.

const EMPTY = -1;

/** Set of genomes of one width. −0 and 0 must have been made equal by the caller. */
export class GeneSet {
  readonly width: number;
  size = 0;
  private slots: Int32Array;
  private hashes: Int32Array;
  private genes: Float64Array;
  private readonly probe: Float64Array;
  private readonly words: Uint32Array;

  constructor(width: number, capacity: number = 64) {
    this.width = width;
    const room = Math.max(16, capacity);
    this.slots = new Int32Array(slotsFor(room)).fill(EMPTY);
    this.hashes = new Int32Array(room);
    this.genes = new Float64Array(room * width);
    this.probe = new Float64Array(width);
    this.words = new Uint32Array(this.probe.buffer);
  }

  clear(): void {
    this.size = 0;
    this.slots.fill(EMPTY);
  }

  /**
   * Adds the genome that starts at `offset`.
   *
   * @returns false when it was there already
   */
  add(genes: Float64Array, offset: number = 0): boolean {
    const { width, probe } = this;
    for (let i = 0; i < width; i++) probe[i] = genes[offset + i]!;
    const hash = this.hash();
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.slots[slot]!;
      if (entry === EMPTY) break;
      if (this.hashes[entry] === hash && this.holds(entry)) return false;
      slot = (slot + 1) & mask;
    }
    if (this.size === this.hashes.length) {
      this.grow();
      slot = this.freeSlot(hash);
    }
    this.slots[slot] = this.size;
    this.hashes[this.size] = hash;
    this.genes.set(probe, this.size * width);
    this.size++;
    return true;
  }

  /** Forgets all but the first `size` genomes. */
  truncate(size: number): void {
    this.size = size;
    this.slots.fill(EMPTY);
    for (let n = 0; n < size; n++) this.slots[this.freeSlot(this.hashes[n]!)] = n;
  }

  /** The genomes, in the order they were added. */
  toJSON(): number[][] {
    return Array.from({ length: this.size }, (_, n) =>
      Array.from(this.genes.subarray(n * this.width, (n + 1) * this.width)),
    );
  }

  private holds(entry: number): boolean {
    const start = entry * this.width;
    for (let i = 0; i < this.width; i++) if (this.genes[start + i] !== this.probe[i]) return false;
    return true;
  }

  /** Murmur-like mix of the 32-bit words of the probe. */
  private hash(): number {
    let hash = this.width;
    for (let i = 0; i < this.words.length; i++) {
      let word = Math.imul(this.words[i]!, 0xcc9e2d51);
      word = (word << 15) | (word >>> 17);
      hash ^= Math.imul(word, 0x1b873593);
      hash = (hash << 13) | (hash >>> 19);
      hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
    }
    hash ^= hash >>> 16;
    hash = Math.imul(hash, 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  }

  private grow(): void {
    const room = 2 * this.hashes.length;
    const hashes = new Int32Array(room);
    hashes.set(this.hashes);
    this.hashes = hashes;
    const genes = new Float64Array(room * this.width);
    genes.set(this.genes);
    this.genes = genes;
    this.slots = new Int32Array(slotsFor(room)).fill(EMPTY);
    for (let n = 0; n < this.size; n++) this.slots[this.freeSlot(this.hashes[n]!)] = n;
  }

  private freeSlot(hash: number): number {
    const mask = this.slots.length - 1;
    let slot = hash & mask;
    while (this.slots[slot] !== EMPTY) slot = (slot + 1) & mask;
    return slot;
  }
}

/** A power of two of at least twice the entries: the table stays at most half full. */
function slotsFor(entries: number): number {
  return 2 ** Math.ceil(Math.log2(2 * entries));
}
