import { keepNotebookShortcutsOut } from "./notebook_keys.js";

/**
 * The content of one private widget on this page. It comes in messages and is not part of the widget's state, because
 * a notebook can be saved with the state of its widgets.
 */
class Content {
  current = { html: "", value: "", labels: [] };
  #views = new Set();

  constructor(model) {
    model.on("msg:custom", (message) => {
      if (message.kind !== "content") return;
      this.current = message;
      for (const draw of this.#views) draw();
    });
    model.send({ kind: "want" });
  }

  /** Call `draw` now and after each change. Return a function that stops this. */
  show(draw) {
    this.#views.add(draw);
    draw();
    return () => this.#views.delete(draw);
  }
}

/** Each shape uses the elements and classes of the ipywidget of the same name. */
const SHAPES = {
  html: (el, content) => {
    const inside = document.createElement("div");
    inside.className = "widget-html-content";
    el.append(inside);
    return () => (inside.innerHTML = content.current.html); // html.py made it and escaped every text
  },
  text: (el, content, model) => {
    const input = document.createElement("input");
    input.type = "text";
    return textBox(el, content, model, input);
  },
  dropdown: (el, content, model) => {
    const box = labelled(el, model, document.createElement("select"));
    box.addEventListener("change", () => model.send({ kind: "index", index: box.selectedIndex }));
    return () => {
      box.replaceChildren(...content.current.labels.map((label) => new Option(label)));
      box.selectedIndex = content.current.index;
    };
  },
};

function textBox(el, content, model, input) {
  const box = labelled(el, model, input);
  box.placeholder = model.get("placeholder");
  const event = model.get("continuous_update") ? "input" : "change";
  box.addEventListener(event, () => model.send({ kind: "value", value: box.value }));
  return () => {
    if (box.value !== content.current.value) box.value = content.current.value;
  };
}

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

// anywidget calls this function once for each widget, so all views of that widget share the content.
export default () => {
  let content;
  return {
    initialize({ model }) {
      content = new Content(model);
    },
    render: ({ model, el }) => renderPrivate({ model, el, content }),
  };
};
