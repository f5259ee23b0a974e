/**
 * The rows of one table on this page, kept in step with the kernel's.
 *
 * The kernel sends each row once, numbered from the start of its generation; a
 * `replace` in Python begins the next generation. A message may come twice, or be
 * missed because it was sent before this page was listening: rows that are here
 * already are left out, and a gap is asked for. So every page ends up right.
 */
export class RowStore {
  rows = [];
  #generation = 0;
  #model;
  #listeners = new Set();
  /** The place from which the kernel was last asked to send. */
  #asked = "";

  constructor(model) {
    this.#model = model;
    model.on("msg:custom", (message) => {
      if (message.kind === "rows") this.#take(message);
    });
    this.#ask();
  }

  get generation() {
    return this.#generation;
  }

  /**
   * Be told of what is new: `onRows(rows)` for rows added at the end, `onReset()`
   * when all that was there is gone. Returns the function that ends it.
   */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #take({ generation, start, rows }) {
    if (generation < this.#generation) return;
    if (generation > this.#generation) this.#reset(generation);
    if (start > this.rows.length) {
      this.#ask();
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

  /** Ask for what is missing, but not again while the answer is on its way. */
  #ask() {
    const place = { generation: this.#generation, start: this.rows.length };
    const name = `${place.generation}:${place.start}`;
    if (name === this.#asked) return;
    this.#asked = name;
    this.#model.send({ kind: "want", ...place });
  }
}
