import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  indentOnInput,
  indentUnit,
  syntaxHighlighting,
} from "@codemirror/language";
import { lintGutter, lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState } from "@codemirror/state";
import {
  Decoration,
  drawSelection,
  dropCursor,
  EditorView,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
} from "@codemirror/view";
import { classHighlighter } from "@lezer/highlight";

import { http } from "./http_language.js";
import { keepNotebookShortcutsOut } from "./notebook_keys.js";
import { SharedText } from "./shared_text.js";

/** Draw matching brackets only: in a long text that is not parsed to its end yet, every other one would be red. */
const matching = Decoration.mark({ class: "cm-matchingBracket" });
const drawMatch = ({ start, end, matched }) =>
  matched ? [start, end].map(({ from, to }) => matching.range(from, to)) : [];

const APPEARANCE = [
  lineNumbers(),
  foldGutter(),
  lintGutter(),
  highlightActiveLine(),
  highlightActiveLineGutter(),
  highlightSpecialChars(),
  highlightSelectionMatches(),
  drawSelection(),
  dropCursor(),
  bracketMatching({ renderMatch: drawMatch }),
  EditorView.lineWrapping, // the XHTML of a narrative is one very long string
  syntaxHighlighting(classHighlighter), // plain class names: editor.css has the colours
];

const EDITING = [
  history(),
  closeBrackets(),
  indentOnInput(),
  rectangularSelection(),
  search({ top: true }),
  indentUnit.of("  "),
  EditorState.tabSize.of(2),
  EditorState.allowMultipleSelections.of(true),
];

/**
 * Tab is deliberately not bound: it moves the focus out of the editor, which keyboard users need.
 * Ctrl-[ and Ctrl-] change the indentation.
 */
function keysFor(shared) {
  const submit = () => (shared.submit(), true);
  // Ctrl-S does nothing here. Without this, the browser would offer to save the page.
  const nothing = () => true;
  return keymap.of([
    { key: "Mod-Enter", run: submit },
    { key: "Mod-s", run: nothing },
    ...closeBracketsKeymap,
    ...defaultKeymap,
    ...searchKeymap,
    ...historyKeymap,
    ...foldKeymap,
    ...lintKeymap,
  ]);
}

/** The settings that Python may change while the view is open. */
function settingsOf(model) {
  const readOnly = model.get("read_only");
  return [
    EditorState.readOnly.of(readOnly),
    EditorView.editable.of(!readOnly),
    EditorView.contentAttributes.of({
      "aria-label": model.get("label"),
      "aria-readonly": String(readOnly),
      tabindex: "0", // so that a read-only text can be reached, scrolled and searched by keyboard
    }),
  ];
}

function renderEditor({ model, el, shared }) {
  const frame = document.createElement("div");
  frame.className = "swb-editor";
  keepNotebookShortcutsOut(frame);

  // The workbench's frame keeps the text as a draft. It may be drawn later than this view, and then asks.
  const tell = () => {
    if (model.get("read_only")) return;
    frame.dispatchEvent(new CustomEvent("swb:text", { bubbles: true, detail: { doc: shared.doc } }));
  };
  frame.addEventListener("swb:tell", tell);

  const settings = new Compartment();
  const view = new EditorView({
    doc: shared.doc,
    extensions: [
      keysFor(shared),
      settings.of(settingsOf(model)),
      APPEARANCE,
      model.get("language") === "http" ? http : json(),
      EDITING,
      EditorView.updateListener.of((update) => {
        shared.updated(update);
        if (update.docChanged) tell();
      }),
    ],
    parent: frame,
  });
  shared.add(view);

  const applySettings = () => {
    frame.style.height = model.get("height");
    view.dispatch({ effects: settings.reconfigure(settingsOf(model)) });
  };
  model.on("change:read_only change:label change:height", applySettings);
  applySettings();
  el.append(frame);

  return () => {
    shared.remove(view);
    view.destroy();
  };
}

// anywidget calls this function once for each widget, so all views of that widget share the text.
export default () => {
  let shared;
  return {
    initialize({ model, signal }) {
      shared = new SharedText(model, signal);
    },
    render: ({ model, el }) => renderEditor({ model, el, shared }),
  };
};
