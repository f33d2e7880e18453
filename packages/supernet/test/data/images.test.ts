// CIFAR, IDX, image folders, augmentation.
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { missingShared, sharedPath } from '@hip/testing';
import { imageFolder } from '../../src/data/image-folder.ts';
import { imageClassification } from '../../src/data/images.ts';
import { normalizationOf, readCifar, readIdx } from '../../src/data/image-files.ts';
import type { ImageSet } from '../../src/data/image-files.ts';

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
    expect(normalizationOf({ do_normalize: false, image_mean: [0.1, 0.1, 0.1], image_std: [0.2, 0.2, 0.2] })).toEqual({
      mean: [0, 0, 0],
      std: [1, 1, 1],
    });
  });

  it('names a shift that is no count of pixels, and a deviation of 0', () => {
    for (const shift of [0.5, -1, Number.NaN]) {
      expect(() => imageClassification(set, { augment: { shift } })).toThrow(/shift = /);
    }
    const mean = [0, 0, 0];
    expect(() => imageClassification(set, { normalize: { mean, std: [0, 1, 1] } })).toThrow(/std > 0/);
    expect(() => imageClassification(set, { normalize: { mean: [Number.NaN, 0, 0], std: [1, 1, 1] } })).toThrow(/mean/);
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

  it('random resized crops: a linear ramp stays one, inside the image, at the scale asked for', async () => {
    const [height, width] = [16, 12];
    // Two planes: the column and the row of each pixel.
    const pixels = Uint8Array.from({ length: 2 * height * width }, (_, i) =>
      i < height * width ? i % width : Math.floor((i - height * width) / width),
    );
    const ramps: ImageSet = { pixels, labels: Int32Array.of(0), channels: 2, height, width };
    const normalize = { mean: [0, 0], std: [1 / 255, 1 / 255] };
    const leastArea = 0.25;
    const data = imageClassification(ramps, { normalize, augment: { leastArea, flip: true } });
    const still = await data.batch([0]);
    expect([...still.pixelValues!.data]).toEqual([...pixels].map((value) => expect.closeTo(value, 4)));
    const areas: number[] = [];
    let mirrored = 0;
    for (let seed = 0; seed < 400; seed++) {
      const { pixelValues } = await data.batch([0], { training: true, seed });
      const values = pixelValues!.data;
      expect(await data.batch([0], { training: true, seed })).toEqual({ ...still, pixelValues });
      // Away from the edges, where values repeat, the step from pixel to pixel is the crop's length over the image's.
      const [y, x] = [height / 2, width / 2];
      const across = values[y * width + x + 1]! - values[y * width + x]!;
      const down = values[height * width + (y + 1) * width + x]! - values[height * width + y * width + x]!;
      if (across < 0) mirrored++;
      areas.push(Math.abs(across) * down);
      expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...values)).toBeLessThanOrEqual(height - 1);
      expect(Math.abs(across) / down).toBeGreaterThan(3 / 4 - 0.001);
      expect(Math.abs(across) / down).toBeLessThan(4 / 3 + 0.001);
    }
    expect(Math.min(...areas)).toBeGreaterThan(leastArea - 0.001);
    expect(Math.min(...areas)).toBeLessThan(leastArea + 0.05);
    expect(Math.max(...areas)).toBeGreaterThan(0.9);
    expect(Math.max(...areas)).toBeLessThanOrEqual(1.001);
    expect(mirrored).toBeGreaterThan(150);
    expect(mirrored).toBeLessThan(250);
    expect(() => imageClassification(ramps, { normalize, augment: { leastArea: 0 } })).toThrow(
      /leastArea = 0: expected a share 0 < leastArea ≤ 1/,
    );
    expect(() => imageClassification(ramps, { normalize, augment: { leastArea, shift: 1 } })).toThrow(
      /shift = 1 and leastArea = 0\.25: both place a crop/,
    );
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
      // Links count as what they point to: a subset of a data set is often a folder of links.
      await mkdir(join(folder, 'green'));
      await symlink(join(folder, 'red/a.png'), join(folder, 'green/link.png'));
      await symlink(join(folder, 'none'), join(folder, 'green/dangling.png'));
      await symlink(join(folder, 'blue'), join(folder, 'navy'));
      const linked = await imageFolder(folder, { size: [4, 4], normalize: plain });
      expect(linked.classes).toEqual(['blue', 'green', 'navy', 'red']);
      expect(linked.files.map((file) => basename(file))).toEqual(['z.JPG', 'link.png', 'z.JPG', 'a.png']);
      expect([...(await linked.batch([1])).labels]).toEqual([1]);
      await rm(join(folder, 'green'), { recursive: true });
      await rm(join(folder, 'navy'));
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
