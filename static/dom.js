/**
 * The few touches of the document that every view needs. Each changes something only when it differs, so drawing the
 * same state twice is free and a screen reader is not disturbed.
 */

/**
 * @template {Element} T
 * @param {string} id @param {new (...args: never[]) => T} kind
 * @returns {T}
 */
export const byId = (id, kind) => {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
};

/** @param {Element} element @param {string} text */
export const setText = (element, text) => {
  if (element.textContent !== text) element.textContent = text;
};

/** A paragraph with nothing to say takes no room. @param {HTMLElement} element @param {string} text */
export const setOrHide = (element, text) => {
  setText(element, text);
  show(element, text !== '');
};

/** @param {HTMLElement} element @param {boolean} shown */
export const show = (element, shown) => {
  if (element.hidden === shown) element.hidden = !shown;
};

/** @param {Element} element @param {string} name @param {string} value */
export const setAttribute = (element, name, value) => {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
};

/**
 * A button as an offer: shown or not, pressable or not. One that is only busy keeps the focus, so it is marked and not
 * disabled; the controller ignores the press.
 * @param {HTMLButtonElement} button @param {{shown: boolean, enabled: boolean}} offer @param {boolean} busy
 */
export const setOffer = (button, { shown, enabled }, busy) => {
  show(button, shown);
  if (button.disabled === enabled) button.disabled = !enabled;
  setAttribute(button, 'aria-disabled', String(busy || !enabled));
};

/**
 * As many copies of a template's element as there are rows, each drawn anew.
 * @template Row
 * @param {HTMLElement} place @param {HTMLTemplateElement} template @param {Row[]} rows
 * @param {(element: HTMLElement, row: Row) => void} draw
 */
export const setRows = (place, template, rows, draw) => {
  while (place.children.length > rows.length) place.lastElementChild?.remove();
  while (place.children.length < rows.length) place.append(template.content.cloneNode(true));
  rows.forEach((row, index) => {
    const element = place.children[index];
    if (element instanceof HTMLElement) draw(element, row);
  });
};

/** @param {Element} within @param {string} selector @returns {HTMLElement} */
export const part = (within, selector) => {
  const found = within.querySelector(selector);
  if (!(found instanceof HTMLElement)) throw new Error(`nothing here matches ${selector}`);
  return found;
};
