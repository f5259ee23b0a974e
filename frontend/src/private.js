import { keepNotebookShortcutsOut } from "./notebook_keys.js";

/**
 * What one private widget shows, on this page. It comes in messages and is never part of the widget's state, because
 * a notebook can be saved with the state of its widgets.
 */
class Content {
  now = { html: "", value: "", labels: [] };
  #views = new Set();

  constructor(model) {
    model.on("msg:custom", (message) => {
      if (message.kind !== "content") return;
      this.now = message;
      for (const draw of this.#views) draw();
    });
    model.send({ kind: "want" });
  }

  /** Call `draw` now and at each change; returns the function that ends it. */
  show(draw) {
    this.#views.add(draw);
    draw();
    return () => this.#views.delete(draw);
  }
}

/** The same elements and classes as the widget that stands here where the content may be saved. */
const SHAPES = {
  html: (el, content) => {
    const inside = document.createElement("div");
    inside.className = "widget-html-content";
    el.append(inside);
    return () => (inside.innerHTML = content.now.html); // made by markup.py, which escapes every text
  },
  text: (el, content, model) => {
    const box = labelled(el, model, document.createElement("input"));
    box.type = "text";
    box.placeholder = model.get("placeholder");
    const event = model.get("continuous_update") ? "input" : "change";
    box.addEventListener(event, () => model.send({ kind: "value", value: box.value }));
    return () => {
      if (box.value !== content.now.value) box.value = content.now.value;
    };
  },
  dropdown: (el, content, model) => {
    const box = labelled(el, model, document.createElement("select"));
    box.addEventListener("change", () => model.send({ kind: "index", index: box.selectedIndex }));
    return () => {
      box.replaceChildren(...content.now.labels.map((label) => new Option(label)));
      box.selectedIndex = content.now.index;
    };
  },
};

function labelled(el, model, box) {
  const label = document.createElement("label");
  label.className = "widget-label";
  label.style.width = "max-content";
  box.className = "widget-input";
  label.textContent = model.get("description");
  label.htmlFor = box.id = `swb-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const enable = () => (box.disabled = model.get("disabled"));
  model.on("change:disabled", enable);
  enable();
  keepNotebookShortcutsOut(box);
  el.append(label, box);
  return box;
}

function renderPrivate({ model, el, content }) {
  const shape = model.get("shape");
  el.classList.add("jupyter-widgets", "widget-inline-hbox", `widget-${shape}`);
  return content.show(SHAPES[shape](el, content, model));
}

// A function, because anywidget calls it once for each widget: the content is then shared by that widget's views.
export default () => {
  let content;
  return {
    initialize({ model }) {
      content = new Content(model);
    },
    render: ({ model, el }) => renderPrivate({ model, el, content }),
  };
};
