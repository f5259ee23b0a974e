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

import { keepNotebookShortcutsOut } from "./notebook_keys.js";
import { SharedText } from "./shared_text.js";

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
  bracketMatching(),
  EditorView.lineWrapping, // a narrative's markup is one very long string
  syntaxHighlighting(classHighlighter), // plain class names: editor.css has the colours
];

const EDITING = [
  json(),
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
 * Tab is not bound, on purpose: it moves the focus on, so that nobody who works
 * by keyboard is caught in the editor. Ctrl-[ and Ctrl-] change the indentation.
 */
function keysFor(shared) {
  const submit = () => (shared.submit(), true);
  // Nothing is saved by Ctrl-S; it only keeps the browser from offering the page as a file.
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

/** What Python may change while the view is open. */
function settingsOf(model) {
  const readOnly = model.get("read_only");
  return [
    EditorState.readOnly.of(readOnly),
    EditorView.editable.of(!readOnly),
    EditorView.contentAttributes.of({
      "aria-label": model.get("label"),
      "aria-readonly": String(readOnly),
      tabindex: "0", // a read-only text can still be reached, scrolled and searched by keyboard
    }),
  ];
}

function renderEditor({ model, el, shared }) {
  const frame = document.createElement("div");
  frame.className = "swb-editor";
  keepNotebookShortcutsOut(frame);

  const settings = new Compartment();
  const view = new EditorView({
    doc: shared.doc,
    extensions: [
      keysFor(shared),
      settings.of(settingsOf(model)),
      APPEARANCE,
      EDITING,
      EditorView.updateListener.of((update) => shared.updated(update)),
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

// A function, because anywidget calls it once for each widget: the text is then
// shared by that widget's views and by nothing else.
export default () => {
  let shared;
  return {
    initialize({ model, signal }) {
      shared = new SharedText(model, signal);
    },
    render: ({ model, el }) => renderEditor({ model, el, shared }),
  };
};
