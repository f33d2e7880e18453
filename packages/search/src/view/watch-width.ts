// Figures are drawn for a width: a phone that is turned, or a window that is pulled, has them drawn again.

/** Milliseconds without a change after which a width counts: a window that is being pulled changes all the time. */
const REST_MS = 120;

/** Calls `redraw` when the element has come to rest at another width. Does nothing where the page cannot tell. */
export function watchWidth(element: HTMLElement, signal: AbortSignal, redraw: () => void): void {
  const Observer = element.ownerDocument.defaultView?.ResizeObserver;
  if (!Observer) return;
  let drawnFor = element.clientWidth;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const observer = new Observer(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (element.clientWidth === drawnFor) return;
      drawnFor = element.clientWidth;
      redraw();
    }, REST_MS);
  });
  observer.observe(element);
  signal.addEventListener(
    'abort',
    () => {
      clearTimeout(timer);
      observer.disconnect();
    },
    { once: true },
  );
}

/** Widths for figures. Asked of the page once: what has changed in it since would be laid out for each answer. */
export class WidthsOnce {
  readonly #known = new Map<HTMLElement, number>();
  readonly #otherwise: number;

  /** @param otherwise - where the page cannot tell, in pixels. @defaultValue 560 */
  constructor(otherwise = 560) {
    this.#otherwise = otherwise;
  }

  of(place: HTMLElement): number {
    const known = this.#known.get(place) ?? place.clientWidth;
    if (known > 0) this.#known.set(place, known);
    return Math.max(240, Math.min(known || this.#otherwise, 900));
  }

  forget(): void {
    this.#known.clear();
  }
}
