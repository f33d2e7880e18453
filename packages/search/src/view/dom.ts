// Elements in a line: this view has no framework under it.

type Child = Node | string;
type Attribute = string | number | boolean | undefined;

/** Makes elements in one document. */
export type Maker = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes?: Readonly<Record<string, Attribute>>,
  ...children: readonly Child[]
) => HTMLElementTagNameMap[K];

/** Attributes that are false or undefined are left out; true ones stand without a value. */
export function makerOf(document: Document): Maker {
  return (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
    }
    element.append(...children);
    return element;
  };
}

/** A labelled choice; the first is chosen unless `chosen` says another. */
export function choice(
  make: Maker,
  label: string,
  values: readonly string[],
  chosen: string | undefined,
  onChange: (value: string) => void,
): HTMLLabelElement {
  const select = make(
    'select',
    {},
    ...values.map((value) => make('option', { value, selected: value === chosen }, value)),
  );
  select.addEventListener('change', () => onChange(select.value));
  return make('label', {}, `${label} `, select);
}

/** A part of the view: a heading, controls under it, and a place that is filled again and again. */
export interface Panel {
  readonly element: HTMLElement;
  readonly controls: HTMLElement;
  readonly body: HTMLElement;
}

export function panel(make: Maker, title: string, name: string): Panel {
  const controls = make('div', { class: 'controls' });
  const body = make('div', { class: 'body' });
  const element = make('section', { class: name, 'aria-label': title }, make('h3', {}, title), controls, body);
  return { element, controls, body };
}
