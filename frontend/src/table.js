import {
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ColumnApiModule,
  createGrid,
  ModuleRegistry,
  QuickFilterModule,
  RenderApiModule,
  RowApiModule,
  RowSelectionModule,
  RowStyleModule,
  ScrollApiModule,
  themeQuartz,
} from "ag-grid-community";

import { keepNotebookShortcutsOut } from "./notebook_keys.js";
import { RowStore } from "./row_store.js";

ModuleRegistry.registerModules([
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ColumnApiModule,
  QuickFilterModule,
  RenderApiModule,
  RowApiModule,
  RowSelectionModule,
  RowStyleModule,
  ScrollApiModule,
]);

// The grid makes its own style sheet; table.css defines the variables used here.
const THEME = themeQuartz.withParams({
  accentColor: "var(--swb-accent)",
  backgroundColor: "var(--swb-background)",
  borderColor: "var(--swb-line)",
  browserColorScheme: "inherit",
  cellHorizontalPadding: 10,
  fontFamily: "var(--swb-font)",
  fontSize: "var(--swb-font-size)",
  foregroundColor: "var(--swb-text)",
  headerBackgroundColor: "var(--swb-header)",
  headerFontWeight: 600,
  rowBorder: { color: "var(--swb-faint-line)" },
  rowHoverColor: "var(--swb-hover)",
  selectedRowBackgroundColor: "var(--swb-chosen)",
  wrapperBorderRadius: 3,
});

const TONES = new Set(["good", "bad", "warn", "neutral"]);
const NARROWEST_FLEXIBLE_PX = 160; // below that the table scrolls sideways
const ROW_PX = 28;

const byReading = new Intl.Collator("en", { numeric: true });

/** Order numbers by size and before strings; order strings alphabetically, with numbers in them by size. */
function compare(a, b) {
  const numbers = (typeof a === "number") + (typeof b === "number");
  if (numbers === 2) return a - b;
  if (numbers === 1) return typeof a === "number" ? -1 : 1;
  return byReading.compare(a, b);
}

/** Sort empty cells last in either direction; the grid keeps the order of equal cells. */
function compareCells(a, b, _rowA, _rowB, descending) {
  const empty = (a === null) - (b === null);
  if (empty !== 0) return descending ? -empty : empty;
  return a === null ? 0 : compare(a, b);
}

/** An id of 36 characters says as much with its first eight; the tooltip has all of it. */
function drawShortened({ value }) {
  const cell = document.createElement("span");
  cell.textContent = (value ?? "").replace(/([0-9a-f]{8})-[0-9a-f-]{27}/g, "$1…");
  cell.title = value ?? "";
  return cell;
}

function columnDefinition({ key, title, align, width, mono, short, more }) {
  return {
    colId: key,
    headerName: title,
    // A getter and not `field`, because the grid reads the dots in "meta.versionId" as a path.
    valueGetter: ({ data }) => data.cells[key] ?? null,
    comparator: compareCells,
    hide: Boolean(more),
    ...(short ? { cellRenderer: drawShortened } : {}),
    ...(width ? { width } : { flex: 1, minWidth: NARROWEST_FLEXIBLE_PX }),
    headerClass: align === "right" ? "swb-right" : "",
    cellClass: [
      align === "right" ? "swb-right" : "",
      mono ? "swb-mono" : "",
      key === "status" ? "swb-status" : "",
    ].filter(Boolean),
  };
}

/** The text of an empty table. A component, because the grid reads a template as HTML. */
class EmptyNotice {
  init({ text }) {
    this.element = document.createElement("span");
    this.element.textContent = text;
  }

  getGui() {
    return this.element;
  }
}

function gridOptions(model, onChosen) {
  return {
    theme: THEME,
    columnDefs: model.get("columns").map(columnDefinition),
    defaultColDef: { sortable: true, resizable: true, suppressMovable: true },
    rowHeight: ROW_PX,
    headerHeight: ROW_PX + 4,
    rowSelection: { mode: "singleRow", checkboxes: false, enableClickSelection: true },
    getRowClass: ({ data }) => (TONES.has(data.cells._tone) ? `swb-tone-${data.cells._tone}` : ""),
    noRowsOverlayComponent: EmptyNotice,
    noRowsOverlayComponentParams: { text: model.get("empty") },
    animateRows: false,
    deltaSort: true, // a row added to a sorted table moves into place; the other rows are not sorted again
    enableCellTextSelection: true,
    // Screen readers need all cells in the DOM, in the order shown.
    ensureDomOrder: true,
    suppressColumnVirtualisation: true,
    // Tab leaves the table, and the arrow keys move inside it. A tab stop at each of thousands of cells would make
    // the rest of the page unreachable by keyboard.
    tabToNextCell: () => false,
    tabToNextHeader: () => false,
    onRowClicked: ({ data }) => {
      if (getSelection().isCollapsed) onChosen(data.index); // not when the click ends a text selection
    },
    onCellKeyDown: ({ event, node }) => {
      if (event.key !== "Enter") return;
      node.setSelected(true, true);
      onChosen(node.data.index);
    },
  };
}

/** One view: a grid that adds the new rows once per frame. */
class TableView {
  #store;
  #grid;
  #pending = [];
  #frame = 0;
  #count = 0;
  /** Whether to scroll to new rows: until the user scrolls up, and again after scrolling to the end. */
  #following;
  #follows;
  #top = 0;
  #stopListening;

  constructor(element, model, store) {
    this.#store = store;
    this.#follows = model.get("follows");
    this.#following = this.#follows;
    const onChosen = (index) => model.send({ kind: "select", generation: store.generation, index });
    this.#grid = createGrid(element, {
      ...gridOptions(model, onChosen),
      rowData: this.#numbered(store.rows),
      onBodyScroll: () => this.#scrolled(),
      onGridSizeChanged: () => requestAnimationFrame(() => this.#showEnd()), // once it is laid out
      onFirstDataRendered: () => this.#showEnd(),
    });
    this.#grid.setGridAriaProperty("label", model.get("label"));
    element.addEventListener("wheel", ({ deltaY }) => {
      // Stop now: with slow frames, the grid reports its scrolling late.
      if (deltaY < 0 && this.#grid.getVerticalPixelRange().top > 0) this.#following = false;
    });
    this.#stopListening = store.listen({
      onRows: (rows) => this.#add(rows),
      onReset: () => this.#reset(),
    });
  }

  filter(text) {
    this.#grid.setGridOption("quickFilterText", text);
  }

  showColumns(keys, shown) {
    this.#grid.setColumnsVisible(keys, shown);
  }

  destroy() {
    this.#stopListening();
    cancelAnimationFrame(this.#frame);
    this.#grid.destroy();
  }

  #numbered(rows) {
    return rows.map((cells) => ({ index: this.#count++, cells }));
  }

  #add(rows) {
    this.#pending.push(...this.#numbered(rows));
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#grid.applyTransaction({ add: this.#pending });
      this.#pending = [];
      this.#showEnd();
    });
  }

  #reset() {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
    this.#pending = [];
    this.#count = 0;
    this.#following = this.#follows;
    this.#top = 0; // otherwise the jump to the top of the emptied table would look like scrolling by the user
    this.#grid.setGridOption("rowData", []);
  }

  #scrolled() {
    const { top } = this.#grid.getVerticalPixelRange();
    // Only a user scrolls up. It is not enough that the last row is hidden: the table may have had no height yet,
    // or rows may have arrived since the last frame.
    if (this.#rowsBelow() <= 1) this.#following = this.#follows;
    else if (top < this.#top) this.#following = false;
    this.#top = top;
  }

  #isSorted() {
    return this.#grid.getColumnState().some(({ sort }) => sort);
  }

  /** Return how many rows are below the visible area; a partly visible row counts as a fraction. */
  #rowsBelow() {
    return this.#grid.getDisplayedRowCount() - this.#grid.getVerticalPixelRange().bottom / ROW_PX;
  }

  #showEnd(attempts = 3) {
    if (this.#grid.isDestroyed()) return;
    const count = this.#grid.getDisplayedRowCount();
    if (count === 0 || !this.#following || this.#isSorted()) return;
    this.#grid.ensureIndexVisible(count - 1, "bottom");
    // The grid's scrollbar is a separate element. With slow frames, its late event can scroll the rows back, so check
    // again. The number of attempts is limited, because the last row of a hidden table never becomes visible.
    if (attempts === 0) return;
    requestAnimationFrame(() => {
      if (!this.#grid.isDestroyed() && this.#rowsBelow() > 0) this.#showEnd(attempts - 1);
    });
  }
}

/** A field that filters the rows, and a switch for the columns that are shown on demand. */
function makeTools(model, view) {
  const tools = document.createElement("div");
  tools.className = "swb-table-tools";
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "Filter the rows";
  filter.setAttribute("aria-label", `Filter ${model.get("label")}`);
  filter.addEventListener("input", () => view.filter(filter.value));
  tools.append(filter);
  const more = model.get("columns").filter((column) => column.more).map(({ key }) => key);
  if (more.length > 0) {
    const label = document.createElement("label");
    const all = document.createElement("input");
    all.type = "checkbox";
    all.addEventListener("change", () => view.showColumns(more, all.checked));
    label.append(all, " All columns");
    tools.append(label);
  }
  return tools;
}

function renderTable({ model, el, store }) {
  const frame = document.createElement("div");
  frame.className = "swb-table";
  frame.style.height = model.get("height");
  keepNotebookShortcutsOut(frame);
  const view = new TableView(frame, model, store);
  if (model.get("tools")) {
    const tools = makeTools(model, view);
    keepNotebookShortcutsOut(tools);
    el.append(tools);
  }
  el.append(frame);
  return () => view.destroy();
}

// anywidget calls this function once for each widget, so all views of that widget share the rows.
export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new RowStore(model);
    },
    render: ({ model, el }) => renderTable({ model, el, store }),
  };
};
