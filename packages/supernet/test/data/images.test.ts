// CIFAR, IDX, image folders, augmentation.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { imageFolder } from '../../src/data/image-folder.ts';
import { imageClassification, normalizationOf, readCifar, readIdx } from '../../src/data/images.ts';
import type { ImageSet } from '../../src/data/images.ts';

const plain = { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] };

describe('readCifar', () => {
  it('splits labels from planes, for one and two label bytes', () => {
    const record = (labels: number[], value: number) => [
      ...labels,
      ...Array.from({ length: 3072 }, (_, i) => (value + i) % 256),
    ];
    const ten = readCifar(Uint8Array.from([...record([7], 1), ...record([3], 2)]));
    expect([...ten.labels]).toEqual([7, 3]);
    expect([ten.pixels[0], ten.pixels[3072], ten.pixels[6143]]).toEqual([1, 2, (2 + 3071) % 256]);
    const hundred = readCifar(Uint8Array.from(record([4, 99], 5)), { labelBytes: 2 });
    expect([...hundred.labels]).toEqual([99]);
    expect(() => readCifar(new Uint8Array(3072))).toThrow(/no whole number of 3073-byte/);
  });

  it.skipIf(missingShared('data/cifar10'))(`reads the shared records${missingShared('data/cifar10')}`, () => {
    const set = readCifar(gunzipSync(readFileSync(`${sharedPath('data', 'cifar10')}/test_first1000.bin.gz`)));
    expect(set.labels).toHaveLength(1000);
    expect(new Set(set.labels)).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  });
});

describe('readIdx', () => {
  const header = (...values: number[]) =>
    values.flatMap((value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
  const images = Uint8Array.from([...header(0x803, 2, 2, 3), ...Array.from({ length: 12 }, (_, i) => i)]);
  const labels = Uint8Array.from([...header(0x801, 2), 9, 4]);

  it('reads images and labels', () => {
    const set = readIdx(images, labels);
    expect(set).toMatchObject({ channels: 1, height: 2, width: 3 });
    expect([...set.pixels]).toEqual(Array.from({ length: 12 }, (_, i) => i));
    expect([...set.labels]).toEqual([9, 4]);
  });

  it('rejects swapped, truncated and unequal files', () => {
    expect(() => readIdx(labels, labels)).toThrow(/magic number 0x801, expected 0x803/);
    expect(() => readIdx(images.subarray(0, 20), labels)).toThrow(/needs 28 bytes, has 20/);
    expect(() => readIdx(images, Uint8Array.from([...header(0x801, 1), 9]))).toThrow(/2 images and 1 labels/);
  });
});

describe('imageClassification', () => {
  const set: ImageSet = {
    pixels: Uint8Array.from({ length: 2 * 3 * 16 }, (_, i) => i),
    labels: Int32Array.of(1, 0),
    channels: 3,
    height: 4,
    width: 4,
  };

  it('normalises as transformers does', async () => {
    const { pixelValues, labels } = await imageClassification(set, {
      normalize: { mean: [0.5, 0.25, 0], std: [0.5, 1, 2] },
    }).batch([1]);
    expect(pixelValues!.shape).toEqual([1, 3, 4, 4]);
    expect(pixelValues!.data[0]).toBeCloseTo((48 / 255 - 0.5) / 0.5, 6);
    expect(pixelValues!.data[16]).toBeCloseTo(64 / 255 - 0.25, 6);
    expect(pixelValues!.data[47]).toBeCloseTo(95 / 255 / 2, 6);
    expect([...labels]).toEqual([0]);
    expect(normalizationOf({ image_mean: [0.1], image_std: [0.2] })).toEqual({ mean: [0.1], std: [0.2] });
  });

  it('augments training batches only, repeatably by seed; every result is a shifted or mirrored original', async () => {
    const data = imageClassification(set, { normalize: plain, augment: { shift: 1, flip: true } });
    const original = (await data.batch([0])).pixelValues!.data;
    expect([...original.subarray(0, 16)].map(Math.round)).toEqual(Array.from({ length: 16 }, (_, i) => i));
    const variants = new Set<string>();
    for (let seed = 0; seed < 200; seed++) {
      const { data: pixels } = (await data.batch([0], { training: true, seed })).pixelValues!;
      expect((await data.batch([0], { training: true, seed })).pixelValues!.data).toEqual(pixels);
      const red = [...pixels.subarray(0, 16)].map(Math.round);
      variants.add(red.join());
      // The centre pixels of the original stay inside under any shift by one.
      for (const value of [5, 6, 9, 10]) expect(red).toContain(value);
    }
    // 3 × 3 shifts, mirrored or not.
    expect(variants.size).toBe(18);
  });

  it('blends images of a training batch and says by how much; shares follow Beta(α, α)', async () => {
    const original = (await imageClassification(set, { normalize: plain }).batch([0, 1])).pixelValues!.data;
    for (const mixup of [1, 0.3]) {
      const data = imageClassification(set, { normalize: plain, augment: { mixup } });
      expect((await data.batch([0, 1])).mixed).toBeUndefined();
      const shares: number[] = [];
      for (let seed = 0; seed < 800; seed++) {
        const { pixelValues, labels, mixed } = await data.batch([0, 1], { training: true, seed });
        expect((await data.batch([0, 1], { training: true, seed })).pixelValues).toEqual(pixelValues);
        for (const row of [0, 1]) {
          const share = mixed!.share[row]!;
          shares.push(share);
          // Labels are 1 and 0: the partner's label tells which image it is.
          const partner = 1 - mixed!.labels[row]!;
          expect(labels[row]).toBe(1 - row);
          for (const i of [0, 5, 47]) {
            const blend = share * original[48 * row + i]! + (1 - share) * original[48 * partner + i]!;
            expect(pixelValues!.data[48 * row + i]).toBeCloseTo(blend, 3);
          }
        }
      }
      const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
      const variance = shares.reduce((sum, share) => sum + (share - mean) ** 2, 0) / shares.length;
      expect(mean).toBeCloseTo(0.5, 1);
      // Beta(α, α) has the variance 1 / (4 (2α + 1)).
      expect(variance).toBeCloseTo(1 / (4 * (2 * mixup + 1)), 1);
    }
    expect(() => imageClassification(set, { augment: { mixup: 1.5 } })).toThrow(/mixup = 1\.5: expected a number 0…1/);
  });
});

describe('imageFolder', () => {
  it('decodes, scales and orders by class; names what cannot be read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'images-'));
    try {
      const solid = (r: number, g: number, b: number) =>
        sharp({ create: { width: 9, height: 6, channels: 3, background: { r, g, b } } });
      await mkdir(join(folder, 'red'));
      await mkdir(join(folder, 'blue'));
      await solid(255, 0, 0).png().toFile(join(folder, 'red/a.png'));
      await solid(0, 0, 255).jpeg({ quality: 100 }).toFile(join(folder, 'blue/z.JPG'));
      await writeFile(join(folder, 'red/notes.txt'), 'no image');
      const data = await imageFolder(folder, { size: [4, 4], normalize: plain });
      expect(data.classes).toEqual(['blue', 'red']);
      expect(data.length).toBe(2);
      const { pixelValues, labels } = await data.batch([1, 0]);
      expect([...labels]).toEqual([1, 0]);
      const pixel = (image: number, channel: number) => Math.round(pixelValues!.data[(image * 3 + channel) * 16]!);
      expect([pixel(0, 0), pixel(0, 1), pixel(0, 2)]).toEqual([255, 0, 0]);
      expect(pixel(1, 2)).toBeGreaterThan(250);
      await writeFile(join(folder, 'red/b.png'), 'broken');
      const broken = await imageFolder(folder, { size: [4, 4], normalize: plain });
      await expect(Promise.resolve(broken.batch([2]))).rejects.toThrow(/cannot decode .*b\.png/);
      await expect(imageFolder(join(folder, 'none'), { size: [4, 4] })).rejects.toMatchObject({
        code: 'file-not-found',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
