import { make } from "./make.js";
import { keepNotebookShortcutsOut } from "./notebook_keys.js";

/** The keys of a presentation. A presenter's remote control sends PageDown and PageUp. */
const KEYS = {
  ArrowRight: "next",
  PageDown: "next",
  " ": "next",
  ArrowLeft: "back",
  PageUp: "back",
  p: "present",
  Escape: "leave",
};

/** Elements that use a key themselves: a button its space, a field and an editor every key. */
const OWN_KEYS = "input, select, textarea, [contenteditable=true], [role=radio], [role=tab]";

function versionChip({ name, etag }, withEtag = true) {
  const number = Number(name.slice(1));
  const chip = make("b", { class: `swb-version swb-version-${((number - 1) % 5) + 1}` }, name);
  return make("span", { class: "swb-named" }, chip, withEtag ? make("small", {}, etag) : null);
}

/** Write a sentence with each v1, v2, … as a coloured chip. */
function sentence(text) {
  return text.split(/\b(v\d+)\b/).map((part, index) => (index % 2 ? versionChip({ name: part }, false) : part));
}

function personCard(person) {
  const has = person.version ? ["has ", versionChip(person.version)] : ["has not read the List"];
  const entries = person.entries.map(({ text, added }) =>
    added ? make("li", {}, make("b", {}, `+ ${text}`)) : make("li", {}, text),
  );
  const answer = person.answer
    ? make("div", {}, "got ", make("span", { class: `swb-chip swb-${person.tone}` }, person.answer))
    : null;
  return make(
    "div",
    { class: `swb-person${person.acts ? " swb-acts" : ""}`, style: `grid-area: ${person.area}` },
    make("h4", {}, person.name),
    make("div", { class: "swb-muted" }, ...has),
    make("ul", { class: "swb-entries" }, ...entries),
    answer,
  );
}

function serverCard({ title, version, entries, lost }) {
  const gone = lost.map(({ text, whose }) =>
    make("li", { class: "swb-lost" }, make("s", {}, text), " ", make("b", {}, "lost"), `: ${whose} got 200`),
  );
  const kept = entries.map((text) => make("li", {}, text));
  return make(
    "div",
    { class: "swb-server", style: "grid-area: server" },
    make("h4", {}, title),
    make("div", { class: "swb-muted" }, "stored now ", version ? versionChip(version) : ""),
    make("ul", { class: "swb-entries" }, ...kept, ...gone),
  );
}

function stepList(steps) {
  const items = steps.map(({ text, state }) =>
    make("li", { class: `swb-step-${state}`, "aria-current": state === "current" ? "step" : null }, text),
  );
  return make("ol", { class: "swb-steps", "aria-label": "Steps" }, ...items);
}

function draw(scene) {
  const [text, tone] = scene.outcome;
  return [
    stepList(scene.steps),
    make("div", { class: `swb-scene${scene.live ? " swb-live-scene" : ""}` }, ...scene.people.map(personCard), serverCard(scene.server)),
    make("div", { class: `swb-notice swb-${tone}` }, ...sentence(text)),
  ];
}

/** Chapters, one step back and forward, and playing at a pace. */
class Controls {
  constructor(model) {
    this.model = model;
    this.chapters = make("ol", { class: "swb-chapters" });
    this.back = this.#button("← Back", "back");
    this.next = this.#button("Next →", "next");
    this.play = make("button", { type: "button", class: "jupyter-button" }, "Play");
    this.play.addEventListener("click", () => this.#toggle());
    this.pace = make("select", { "aria-label": "Pace" });
    for (const seconds of [2, 4, 8]) this.pace.append(new Option(`a step every ${seconds} s`, seconds));
    this.pace.value = 4;
    this.present = this.#button("Full screen (P)", "present");
    this.bar = make("div", { class: "swb-bar swb-controls" }, this.back, this.next, this.play, this.pace, this.present);
    this.nav = make("nav", { "aria-label": "Chapters" }, this.chapters);
  }

  #button(text, kind) {
    const button = make("button", { type: "button", class: "jupyter-button" }, text);
    button.addEventListener("click", () => act(this.model, button, kind));
    return button;
  }

  #toggle() {
    if (this.timer) return this.stop();
    this.play.textContent = "Pause";
    this.timer = setInterval(() => this.model.send({ kind: "next" }), 1000 * this.pace.value);
    this.model.send({ kind: "next" });
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.play.textContent = "Play";
  }

  show({ titles, chapter, first, last }) {
    if (this.chapters.children.length !== titles.length) {
      this.chapters.replaceChildren(
        ...titles.map((title, index) => {
          const button = make("button", { type: "button", class: "jupyter-button" }, title);
          button.addEventListener("click", () => this.model.send({ kind: "chapter", index }));
          return make("li", {}, button);
        }),
      );
    }
    [...this.chapters.children].forEach((item, index) => {
      if (index === chapter) item.firstChild.setAttribute("aria-current", "step");
      else item.firstChild.removeAttribute("aria-current");
    });
    this.back.disabled = first;
    this.next.disabled = this.play.disabled = last;
    if (last) this.stop();
  }
}

/** Do what a key or a button asks for. Only the page can fill the screen; Python does everything else. */
function act(model, element, kind) {
  if (kind === "present") {
    const root = element.closest(".swb");
    if (document.fullscreenElement) document.exitFullscreen();
    else root.requestFullscreen?.().catch(() => undefined); // a page may not fill the screen: the type is large anyway
  }
  model.send({ kind });
}

function whenAttached(element, action) {
  if (element.isConnected) action();
  else requestAnimationFrame(() => whenAttached(element, action));
}

function listen(model, el) {
  const onKey = (event) => {
    const root = el.closest(".swb");
    const kind = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    const around = event.target.closest?.(".swb"); // in a bench, the focus may be outside of the presentation
    const inside = root?.contains(event.target) || around?.contains(root) || event.target === document.body;
    if (!kind || !inside || el.offsetParent === null || event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest(OWN_KEYS) || (event.key === " " && event.target.closest("button, summary"))) return;
    event.preventDefault();
    event.stopPropagation();
    act(model, el, kind);
  };
  const onFullscreen = () => {
    if (!document.fullscreenElement) model.send({ kind: "leave" });
  };
  document.addEventListener("keydown", onKey, true);
  document.addEventListener("fullscreenchange", onFullscreen);
  whenAttached(el, () => keepNotebookShortcutsOut(el.closest(".swb") ?? el));
  return () => {
    document.removeEventListener("keydown", onKey, true);
    document.removeEventListener("fullscreenchange", onFullscreen);
  };
}

function render({ model, el }) {
  el.classList.add("swb-stage");
  const title = make("h3", { class: "swb-heading" });
  const caption = make("p", { class: "swb-caption", role: "status" });
  const wire = make("p", { class: "swb-wire" });
  const body = make("div");
  const controls = model.get("navigation") ? new Controls(model) : null;
  if (controls) el.append(controls.nav);
  el.append(title, caption, wire, body);
  if (controls) el.append(controls.bar);

  const show = () => {
    const { scene, navigation } = model.get("shown");
    if (controls && navigation) controls.show(navigation);
    title.textContent = scene.title;
    caption.replaceChildren(...sentence(scene.caption));
    caption.className = `swb-caption swb-${scene.tone}`;
    wire.textContent = scene.wire;
    body.replaceChildren(...(scene.people ? draw(scene) : []));
  };
  model.on("change:shown", show);
  show();
  const forget = model.get("has_keys") ? listen(model, el) : () => undefined;
  return () => {
    controls?.stop();
    forget();
  };
}

export default { render };
