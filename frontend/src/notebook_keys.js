/**
 * Keep JupyterLab's keyboard shortcuts out of an element.
 *
 * Lab looks at every keystroke before the page does, and in command mode a
 * plain "d d" deletes a cell. The attribute makes Lab's own handler stand back;
 * stopping the event keeps it from any listener further up (Notebook 7, Voilà).
 *
 * @param {HTMLElement} element
 */
export function keepNotebookShortcutsOut(element) {
  element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.addEventListener("keydown", (event) => event.stopPropagation());
}
