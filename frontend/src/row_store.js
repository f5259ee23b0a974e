/**
 * The rows of one table on this page, kept equal to the kernel's rows.
 *
 * The kernel sends each row once, with its number in its generation; `replace` in Python starts the next generation.
 * A message may arrive twice, or be missed because this page was not listening yet. Rows that are already here are
 * skipped, and missing rows are requested.
 */
export class RowStore {
  rows = [];
  #generation = 0;
  #model;
  #listeners = new Set();
  /** The generation and row number of the last request. */
  #requested = "";

  constructor(model) {
    this.#model = model;
    model.on("msg:custom", (message) => {
      if (message.kind === "rows") this.#take(message);
    });
    this.#request();
  }

  get generation() {
    return this.#generation;
  }

  /**
   * Call `onRows(rows)` for rows added at the end, and `onReset()` when all rows were removed.
   * Return a function that stops this.
   */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take({ generation, start, rows }) {
    if (generation < this.#generation) return;
    if (generation > this.#generation) this.#reset(generation);
    if (start > this.rows.length) {
      this.#request();
      return;
    }
    const fresh = rows.slice(this.rows.length - start);
    if (fresh.length === 0) return;
    for (const row of fresh) this.rows.push(row);
    for (const { onRows } of this.#listeners) onRows(fresh);
  }

  #reset(generation) {
    this.#generation = generation;
    this.rows = [];
    for (const { onReset } of this.#listeners) onReset();
  }

  /** Request the missing rows; do not repeat a request that is not answered yet. */
  #request() {
    const next = { generation: this.#generation, start: this.rows.length };
    const name = `${next.generation}:${next.start}`;
    if (name === this.#requested) return;
    this.#requested = name;
    this.#model.send({ kind: "want", ...next });
  }
}
