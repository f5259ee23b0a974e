import { make } from "./make.js";
import { keepNotebookShortcutsOut } from "./notebook_keys.js";

/**
 * The decisions of a merge. They come in messages and are not part of the widget's state, because a notebook can be
 * saved with the state of its widgets. `show` has the decisions, `state` the choices made so far, `fold` the decisions
 * of one fold, which are sent when the reader opens it.
 */

const TAGS = { same: "span", added: "ins", removed: "del" };

function value(parts) {
  if (!parts) return make("span", { class: "swb-muted" }, "(absent)");
  return make("code", {}, ...parts.map(([kind, text]) => make(TAGS[kind], {}, text)));
}

/** One decision: its three values, and a named group of radio buttons. */
class Row {
  constructor({ index, path, kind, values, choices }, send, prefix) {
    this.index = index;
    this.radios = new Map();
    this.problem = make("div", { class: "swb-notice swb-warn", hidden: "" });
    this.text = make("input", { type: "text", "aria-label": `Value of ${path}`, hidden: "" });
    this.text.addEventListener("change", () => send({ kind: "choose", index, choice: "edit", text: this.text.value }));
    const options = choices.map((name) => {
      const radio = make("input", { type: "radio", name: `${prefix}-${index}`, value: name });
      radio.addEventListener("change", () => send({ kind: "choose", index, choice: name }));
      this.radios.set(name, radio);
      return make("label", {}, radio, ` ${name}`);
    });
    const cells = Object.entries(values).flatMap(([name, parts]) => [
      make("dt", {}, name),
      make("dd", {}, value(parts)),
    ]);
    this.isConflict = kind === "conflict";
    this.chip = make("span", {}, kind);
    this.element = make(
      "div",
      { class: "swb-decision" },
      make(
        "div",
        { class: "swb-three" },
        make("code", {}, path),
        " ",
        this.chip,
        make("dl", {}, ...cells),
      ),
      make("div", { class: "swb-choice", role: "radiogroup", "aria-label": `Choice for ${path}` }, ...options),
      this.text,
      this.problem,
    );
  }

  show(state, frozen) {
    const { choice, text, problem } = state ?? {};
    for (const [name, radio] of this.radios) {
      radio.checked = name === choice;
      radio.disabled = frozen;
    }
    this.text.hidden = choice !== "edit";
    this.text.disabled = frozen;
    if (choice === "edit" && document.activeElement !== this.text) this.text.value = text;
    const isOpen = this.isConflict && (!choice || problem);
    this.chip.className = `swb-chip swb-${isOpen ? "bad" : "neutral"}`;
    this.problem.hidden = !problem;
    this.problem.textContent = problem ?? "";
  }
}

function render({ model, el }) {
  const prefix = `swb-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
  const send = (message) => model.send(message);
  const heading = make("h3", { class: "swb-heading" }, "Your changes and theirs");
  const summary = make("div", { role: "status" });
  const progress = make("b");
  const buttons = {
    mine: make("button", { type: "button", class: "jupyter-button" }, "All conflicts: mine"),
    theirs: make("button", { type: "button", class: "jupyter-button" }, "All conflicts: theirs"),
  };
  for (const side of ["mine", "theirs"]) {
    buttons[side].addEventListener("click", () => send({ kind: "all", side }));
  }
  const bar = make("div", { class: "swb-merge-bar" }, buttons.mine, buttons.theirs, progress);
  const conflicts = make("div");
  const folds = make("div");
  el.append(heading, summary, conflicts, bar, folds);
  keepNotebookShortcutsOut(el);

  let rows = [];
  let state = { choices: {}, frozen: false };
  const addRows = (target, decisions) => {
    const added = decisions.map((decision) => new Row(decision, send, prefix));
    target.append(...added.map((row) => row.element));
    rows.push(...added);
    for (const row of added) row.show(state.choices[row.index], state.frozen);
  };
  const addFold = ({ name, title }) => {
    const inside = make("div", { "data-fold": name });
    const fold = make("details", { class: "swb-fold" }, make("summary", {}, title), inside);
    fold.addEventListener("toggle", () => {
      if (fold.open && !inside.hasChildNodes()) send({ kind: "unfold", name });
    });
    folds.append(fold);
  };
  const receive = {
    show: (message) => {
      rows = [];
      conflicts.replaceChildren();
      folds.replaceChildren();
      addRows(conflicts, message.rows);
      if (message.more) conflicts.append(make("div", { class: "swb-muted" }, message.more));
      message.folds.forEach(addFold);
    },
    fold: (message) => {
      const inside = [...folds.querySelectorAll("[data-fold]")].find((each) => each.dataset.fold === message.name);
      if (!inside || inside.hasChildNodes()) return;
      addRows(inside, message.rows);
      if (message.more) inside.append(make("div", { class: "swb-muted" }, message.more));
    },
    state: (message) => {
      state = message;
      const [text, tone] = message.summary;
      summary.className = `swb-notice swb-${tone}`;
      if (summary.textContent !== text) summary.textContent = text;
      progress.textContent = message.progress;
      for (const side of ["mine", "theirs"]) buttons[side].disabled = message.frozen || !message.conflicts;
      for (const row of rows) row.show(message.choices[row.index], message.frozen);
    },
  };
  const onMessage = (message) => receive[message.kind]?.(message);
  model.on("msg:custom", onMessage);
  send({ kind: "want" });
  return () => model.off("msg:custom", onMessage);
}

export default { render };
