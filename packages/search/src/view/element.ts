// The study view as a custom element: `<instatune-study>`, whose property `view` is what it shows.
import type { StudyView } from './data.ts';
import { mountStudy } from './mount.ts';
import type { MountedStudy, MountOptions } from './mounted.ts';

/** An element of {@link defineStudyElement}. */
export interface StudyElement extends HTMLElement {
  /** What is shown; nothing until it is set. */
  view: StudyView | undefined;
  /** What computes importances, where that is not this thread; set before {@link view}. */
  importances: MountOptions['importances'];
}

/**
 * Registers the custom element, unless the name is taken already. For pages only: there is no `HTMLElement` elsewhere.
 *
 * @param name with a hyphen, as all custom elements' names
 * @example
 * defineStudyElement();
 * const element = document.createElement('instatune-study') as StudyElement;
 * element.view = toStudyView(study);
 * document.body.append(element);
 */
export function defineStudyElement(name = 'instatune-study'): void {
  if (customElements.get(name)) return;
  customElements.define(
    name,
    class extends HTMLElement implements StudyElement {
      importances: MountOptions['importances'];
      #view: StudyView | undefined;
      #mounted: MountedStudy | undefined;

      get view(): StudyView | undefined {
        return this.#view;
      }

      set view(view: StudyView | undefined) {
        this.#view = view;
        if (view && this.#mounted) this.#mounted.update(view);
        else if (this.isConnected) this.connectedCallback();
      }

      connectedCallback(): void {
        this.#mounted?.dispose();
        this.#mounted =
          this.#view && mountStudy(this, this.#view, this.importances ? { importances: this.importances } : {});
      }

      disconnectedCallback(): void {
        this.#mounted?.dispose();
        this.#mounted = undefined;
      }
    },
  );
}
