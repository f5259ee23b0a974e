import {
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ColumnApiModule,
  createGrid,
  ModuleRegistry,
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
  RenderApiModule,
  RowApiModule,
  RowSelectionModule,
  RowStyleModule,
  ScrollApiModule,
]);

// The grid writes its own style sheet; table.css has the values it is given here.
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

/** Numbers by size and before texts; texts as a reader would order them. */
function compare(a, b) {
  const numbers = (typeof a === "number") + (typeof b === "number");
  if (numbers === 2) return a - b;
  if (numbers === 1) return typeof a === "number" ? -1 : 1;
  return byReading.compare(a, b);
}

/** An empty cell goes last in either direction; the grid keeps equals in their order. */
function compareCells(a, b, _rowA, _rowB, descending) {
  const empty = (a === null) - (b === null);
  if (empty !== 0) return descending ? -empty : empty;
  return a === null ? 0 : compare(a, b);
}

function columnDefinition({ key, title, align, width, mono }) {
  return {
    colId: key,
    headerName: title,
    // A getter, and not `field`: the grid would take the dots in "meta.versionId" for a path.
    valueGetter: ({ data }) => data.cells[key] ?? null,
    comparator: compareCells,
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
    deltaSort: true, // a row added to a sorted table moves into place; the rest stays sorted
    enableCellTextSelection: true,
    // For a screen reader the cells must be there, and in the order they are seen.
    ensureDomOrder: true,
    suppressColumnVirtualisation: true,
    // Tab leaves the table; the arrow keys move inside it. Stopping at each cell
    // would put thousands of them between a keyboard and the rest of the page.
    tabToNextCell: () => false,
    tabToNextHeader: () => false,
    onRowClicked: ({ data }) => {
      if (getSelection().isCollapsed) onChosen(data.index); // not at the end of marking text
    },
    onCellKeyDown: ({ event, node }) => {
      if (event.key !== "Enter") return;
      node.setSelected(true, true);
      onChosen(node.data.index);
    },
  };
}

/** One view: a grid that takes up new rows once per frame, however fast they come. */
class TableView {
  #store;
  #grid;
  #pending = [];
  #frame = 0;
  #count = 0;
  /** Whether new rows are to be scrolled to: until the user scrolls up, and again from the end on. */
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
    this.#stopListening = store.listen({
      onRows: (rows) => this.#add(rows),
      onReset: () => this.#reset(),
    });
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
    this.#top = 0; // or the emptied table's way up would be taken for the user's
    this.#grid.setGridOption("rowData", []);
  }

  #scrolled() {
    const { top } = this.#grid.getVerticalPixelRange();
    // Only a user moves up. That the end is out of sight is not enough to tell: the
    // table may have had no height yet, or rows may have come in since the last frame.
    if (this.#rowsBelow() <= 1) this.#following = this.#follows;
    else if (top < this.#top) this.#following = false;
    this.#top = top;
  }

  #isSorted() {
    return this.#grid.getColumnState().some(({ sort }) => sort);
  }

  /** How many rows are below what can be seen, a row in part counted in part. */
  #rowsBelow() {
    return this.#grid.getDisplayedRowCount() - this.#grid.getVerticalPixelRange().bottom / ROW_PX;
  }

  #showEnd(looks = 3) {
    if (this.#grid.isDestroyed()) return;
    const count = this.#grid.getDisplayedRowCount();
    if (count === 0 || !this.#following || this.#isSorted()) return;
    this.#grid.ensureIndexVisible(count - 1, "bottom");
    // The grid's scrollbar is an element beside the rows; where frames are slow, its late
    // event draws the rows back to where they were. So look again, but not for ever: a
    // table that is not shown has no end in sight.
    if (looks === 0) return;
    requestAnimationFrame(() => {
      if (!this.#grid.isDestroyed() && this.#rowsBelow() > 0) this.#showEnd(looks - 1);
    });
  }
}

function renderTable({ model, el, store }) {
  const frame = document.createElement("div");
  frame.className = "swb-table";
  frame.style.height = model.get("height");
  keepNotebookShortcutsOut(frame);
  el.append(frame);
  const view = new TableView(frame, model, store);
  return () => view.destroy();
}

// A function, because anywidget calls it once for each widget: the rows are then
// shared by that widget's views and by nothing else.
export default () => {
  let store;
  return {
    initialize({ model }) {
      store = new RowStore(model);
    },
    render: ({ model, el }) => renderTable({ model, el, store }),
  };
};
