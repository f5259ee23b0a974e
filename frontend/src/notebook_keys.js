/**
 * Keep JupyterLab's keyboard shortcuts out of an element.
 *
 * Lab handles every keystroke before the page does, and in command mode "d d" deletes a cell. The attribute makes
 * Lab's handler ignore the element. Stopping the event keeps it from listeners further up (Notebook 7, Voilà).
 *
 * @param {HTMLElement} element
 */
export function keepNotebookShortcutsOut(element) {
  element.setAttribute("data-lm-suppress-shortcuts", "true");
  element.addEventListener("keydown", (event) => event.stopPropagation());
}
