import { isolateHistory } from "@codemirror/commands";
import { setDiagnostics } from "@codemirror/lint";
import { Annotation, Text } from "@codemirror/state";

/** Time without a keystroke after which the kernel is told of the new text. */
const TYPING_PAUSE_MS = 200;

/** Tells this page's edits from those of another page open on the same kernel. */
const PAGE = Math.random().toString(36).slice(2);

/** Marks a transaction that brings a view in step, as opposed to one by its user. */
const broughtIn = Annotation.define();

/** @param {string} text */
const toDoc = (text) => Text.of(text.split("\n"));

/**
 * The one text behind every view of a widget on this page.
 *
 * Views pass their changes to each other here, at every keystroke, and only this
 * object talks to the kernel. A text is named by two things: `revision`, which the
 * kernel counts up whenever Python replaces the text, and `edit`, the name of the
 * last message from a browser (empty for a text that came from Python).
 *
 * The text goes to the kernel in a message of its own and not as a widget trait:
 * ipywidgets may hold a trait back while an earlier one is being answered, and a
 * button's click would then arrive before the text it is about.
 */
export class SharedText {
  #model;
  #views = new Set();
  #timer = 0;
  #edits = 0;
  #revision;
  #edit;
  /** The text as the views show it; immutable, so comparing identity is enough. */
  #doc;
  /** The text as the kernel has it, or will have it once the last message is in. */
  #sent;
  /** What the kernel has found in a private text; else it is a trait. */
  #found;

  constructor(model, signal) {
    this.#model = model;
    const { text, revision, edit } = model.get("document");
    this.#revision = revision;
    this.#edit = edit;
    this.#doc = this.#sent = toDoc(text);
    model.on("change:document", () => this.#accept(model.get("document")));
    model.on("change:_diagnostics", () => this.#drawDiagnostics());
    model.on("msg:custom", (message) => this.#receive(message));
    this.#flushBeforeAnythingElse(signal);
    if (model.get("private")) model.send({ kind: "want" }); // its text is in no trait
  }

  get doc() {
    return this.#doc;
  }

  add(view) {
    this.#views.add(view);
    this.#drawDiagnostics();
  }

  remove(view) {
    this.flush();
    this.#views.delete(view);
  }

  /** Called by a view for each update: pass its user's changes on. */
  updated(update) {
    if (!update.docChanged) return;
    if (update.transactions.some((each) => each.annotation(broughtIn))) return;
    this.#doc = update.state.doc;
    this.#bringIn(update.changes, { except: update.view });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), TYPING_PAUSE_MS);
  }

  /** Send the text now, if the kernel does not have it. */
  flush() {
    clearTimeout(this.#timer);
    if (!this.#dirty) return;
    const alreadyThere = this.#doc.eq(this.#sent); // typed and taken back
    this.#sent = this.#doc;
    if (alreadyThere) {
      this.#drawDiagnostics();
      return;
    }
    this.#edit = `${PAGE}-${++this.#edits}`;
    this.#send({ kind: "text", text: this.#doc.toString() });
  }

  submit() {
    this.flush();
    this.#model.send({ kind: "submit" });
  }

  get #dirty() {
    return this.#doc !== this.#sent;
  }

  #send(message) {
    this.#model.send({ ...message, revision: this.#revision, edit: this.#edit });
  }

  #receive(message) {
    if (message.kind === "text") this.#accept(message);
    if (message.kind === "edited") this.#askIfBehind(message);
    if (message.kind === "diagnostics") {
      this.#found = message;
      this.#drawDiagnostics();
    }
  }

  /** Another page has changed the text: fetch it, unless ours is about to replace it. */
  #askIfBehind({ revision, edit }) {
    const ours = edit.startsWith(`${PAGE}-`);
    if (ours || this.#dirty || revision !== this.#revision || edit === this.#edit) return;
    this.#model.send({ kind: "want" });
  }

  /** Show a text from the kernel, unless it is older than what is shown. */
  #accept({ text, revision, edit }) {
    if (revision < this.#revision) return;
    if (revision === this.#revision && (this.#dirty || edit === this.#edit)) return;
    clearTimeout(this.#timer);
    this.#revision = revision;
    this.#edit = edit;
    this.#replace(text);
    this.#sent = this.#doc;
    this.#drawDiagnostics();
  }

  #replace(text) {
    const change = differenceOf(this.#doc.toString(), text);
    this.#doc = toDoc(text);
    for (const view of this.#views) view.dispatch(setDiagnostics(view.state, []));
    // One step of its own in the history: one undo brings back what was there.
    this.#bringIn(change, { annotations: isolateHistory.of("full") });
  }

  #bringIn(changes, { except = undefined, annotations = undefined }) {
    for (const view of this.#views) {
      if (view === except) continue;
      const marks = [broughtIn.of(true)];
      if (annotations) marks.push(annotations);
      view.dispatch({ changes, annotations: marks });
    }
  }

  /** Draw the kernel's findings, if they are about the very text that is shown. */
  #drawDiagnostics() {
    const { revision, edit, items } = this.#found ?? this.#model.get("_diagnostics");
    if (this.#dirty || revision !== this.#revision || edit !== this.#edit) return;
    const length = this.#doc.length;
    const inside = items.map((item) => {
      const from = Math.max(0, Math.min(item.from, length));
      return { ...item, from, to: Math.max(from, Math.min(item.to, length)) };
    });
    for (const view of this.#views) view.dispatch(setDiagnostics(view.state, inside));
  }

  /**
   * A click anywhere, a shortcut, or leaving the page may act on the text, so it
   * goes first. Listening in the capture phase is what makes it first; focus
   * alone is not enough, because Safari does not focus a button it clicks.
   */
  #flushBeforeAnythingElse(signal) {
    const flush = () => this.flush();
    const options = { capture: true, signal };
    window.addEventListener("pointerdown", flush, options);
    window.addEventListener("focusout", flush, options);
    window.addEventListener("pagehide", flush, options);
    window.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) this.flush();
    }, options);
  }
}

/**
 * The smallest single replacement that turns one text into another.
 *
 * Replacing only what differs leaves the cursor, the folds and the scroll
 * position of an unchanged part where they are.
 */
function differenceOf(before, after) {
  const shorter = Math.min(before.length, after.length);
  let from = 0;
  while (from < shorter && before[from] === after[from]) from += 1;
  let tail = 0;
  const room = shorter - from;
  while (tail < room && before[before.length - 1 - tail] === after[after.length - 1 - tail]) tail += 1;
  return { from, to: before.length - tail, insert: toDoc(after.slice(from, after.length - tail)) };
}
