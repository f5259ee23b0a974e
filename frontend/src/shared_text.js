import { isolateHistory } from "@codemirror/commands";
import { setDiagnostics } from "@codemirror/lint";
import { Annotation, Text } from "@codemirror/state";

/** Time without a keystroke after which the new text is sent to the kernel. */
const TYPING_PAUSE_MS = 200;

/** Distinguishes this page's edits from those of other pages on the same kernel. */
const PAGE = Math.random().toString(36).slice(2);

/** Marks a transaction that copies a change into a view, as opposed to an edit by its user. */
const copied = Annotation.define();

/** @param {string} text */
const toDoc = (text) => Text.of(text.split("\n"));

/**
 * The one text behind all views of a widget on this page.
 *
 * Each view copies its changes to the others through this object, at every keystroke. Only this object talks to the
 * kernel. `revision` and `edit` identify a text. The kernel increments `revision` when Python replaces the text.
 * `edit` names the last message from a browser, and is empty for a text from Python.
 *
 * The text goes to the kernel in a message of its own and not as a widget trait. ipywidgets may delay a trait until
 * an earlier one is answered, so a click on a button would arrive before the text that it should send.
 */
export class SharedText {
  #model;
  #views = new Set();
  #timer = 0;
  #edits = 0;
  #revision;
  #edit;
  /** The text in the views. It is immutable, so identity shows whether it changed. */
  #doc;
  /** The text in the kernel once it has received the last message. */
  #sent;
  /** The diagnostics of a private text; those of other texts are a trait. */
  #privateDiagnostics;

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
    if (model.get("private")) model.send({ kind: "want" }); // its text is not in a trait
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

  /** Called by a view for each update: copy its user's changes to the other views. */
  updated(update) {
    if (!update.docChanged) return;
    if (update.transactions.some((each) => each.annotation(copied))) return;
    this.#doc = update.state.doc;
    this.#copyToViews(update.changes, { except: update.view });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.flush(), TYPING_PAUSE_MS);
  }

  /** Send the text now if the kernel does not have it yet. */
  flush() {
    clearTimeout(this.#timer);
    if (!this.#dirty) return;
    const unchanged = this.#doc.eq(this.#sent); // typed and undone
    this.#sent = this.#doc;
    if (unchanged) {
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
      this.#privateDiagnostics = message;
      this.#drawDiagnostics();
    }
  }

  /** Another page changed the text: fetch it, unless a newer text from this page is about to replace it. */
  #askIfBehind({ revision, edit }) {
    const ours = edit.startsWith(`${PAGE}-`);
    if (ours || this.#dirty || revision !== this.#revision || edit === this.#edit) return;
    this.#model.send({ kind: "want" });
  }

  /** Show a text from the kernel, unless it is older than the text shown. */
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
    // A separate step in the history, so that one undo restores the earlier text.
    this.#copyToViews(change, { annotations: isolateHistory.of("full") });
  }

  #copyToViews(changes, { except = undefined, annotations = undefined }) {
    for (const view of this.#views) {
      if (view === except) continue;
      const marks = [copied.of(true)];
      if (annotations) marks.push(annotations);
      view.dispatch({ changes, annotations: marks });
    }
  }

  /** Draw the kernel's diagnostics if they belong to the text that is shown. */
  #drawDiagnostics() {
    const { revision, edit, items } = this.#privateDiagnostics ?? this.#model.get("_diagnostics");
    if (this.#dirty || revision !== this.#revision || edit !== this.#edit) return;
    const length = this.#doc.length;
    const inside = items.map((item) => {
      const from = Math.max(0, Math.min(item.from, length));
      return { ...item, from, to: Math.max(from, Math.min(item.to, length)) };
    });
    for (const view of this.#views) view.dispatch(setDiagnostics(view.state, inside));
  }

  /**
   * A click, a shortcut, or leaving the page may act on the text, so the text is sent first. Listening in the
   * capture phase makes this run first. Focus events alone are not enough: Safari does not focus a clicked button.
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
 * Replacing only what differs keeps the cursor, the folds and the scroll position of the unchanged parts.
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
