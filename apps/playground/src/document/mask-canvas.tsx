// The mask as it grows: queries down, keys across, a pixel for 64 of each. Drawn line by line as the lines come.
import { useEffect, useRef } from 'preact/hooks';
import type { MaskPicture } from './mask-picture.ts';

export function MaskCanvas({ picture, label }: { readonly picture: MaskPicture; readonly label: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext('2d');
    if (!context) return undefined;
    let frame = 0;
    const detach = picture.attach((pixels, size) => {
      cancelAnimationFrame(frame);
      frame = requestAnimationFrame(() => context.putImageData(new ImageData(pixels, size, size), 0, 0));
    });
    return () => {
      cancelAnimationFrame(frame);
      detach();
    };
  }, [picture]);
  return <canvas ref={canvas} width={picture.size} height={picture.size} role="img" aria-label={label} />;
}
