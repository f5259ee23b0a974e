import { keepNotebookShortcutsOut } from "./notebook_keys.js";

/** Time without a keystroke after which the text is kept as a draft in the browser's storage. */
const DRAFT_PAUSE_MS = 400;

/** Characters of the longest text that is kept. Browsers keep about five million for a whole site. */
const LONGEST_DRAFT = 2_000_000;

/** Frames to wait for an element that the kernel has just shown. */
const FOCUS_ATTEMPTS = 60;

/** Milliseconds for which a workbench that was opened stays in view while the rest of the notebook runs. */
const SETTLE_MS = 15_000;

const FOCUSABLE = "button:not(:disabled), input:not(:disabled), select:not(:disabled), .cm-content, [tabindex]:not([tabindex='-1'])";

const make = (tag, className, text = "") => {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
};

const makeButton = (text, onClick) => {
  const button = make("button", "jupyter-button swb-small-button", text);
  button.type = "button";
  button.addEventListener("click", onClick);
  return button;
};

const isVisible = (element) => element.getClientRects().length > 0;

/** Copy text; `execCommand` works where the page is not a secure context, such as a Jupyter server without TLS. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const box = make("textarea", "swb-hidden-visually");
  box.value = text;
  document.body.append(box);
  box.select();
  document.execCommand("copy");
  box.remove();
}

/** Keeps the keyboard focus inside the workbench, and moves it where the kernel asks. */
class Focus {
  #root;
  /** Whether the user's last click or keystroke was in this workbench. */
  #here = false;
  /** The control that has the focus, or had it until it was disabled or hidden. */
  #last = null;

  constructor(root, signal) {
    this.#root = root;
    // A click on text that takes no focus would otherwise focus the notebook's cell, and "x" would cut it.
    root.tabIndex = -1;
    root.addEventListener("focusin", ({ target }) => {
      if (target !== root) this.#last = target;
    }, { signal });
    const track = (event) => {
      this.#here = root.contains(event.target);
      if (event.type === "pointerdown") this.#last = null; // a click on text takes the focus from the controls
    };
    const options = { capture: true, signal };
    document.addEventListener("pointerdown", track, options);
    document.addEventListener("keydown", (event) => {
      if (event.target !== document.body) track(event);
    }, options);
  }

  get #isLost() {
    return !document.activeElement || document.activeElement === document.body;
  }

  /** Whether the focus may move: not while the user works elsewhere on the page. */
  get #mayMove() {
    return this.#here && (this.#isLost || this.#root.contains(document.activeElement));
  }

  /** A control that had the focus was hidden or disabled: keep the focus here, and give it back when it can be. */
  keep() {
    if (!this.#here || !(this.#isLost || document.activeElement === this.#root)) return;
    const last = this.#last;
    const canReturn = last?.isConnected && this.#root.contains(last) && !last.disabled && isVisible(last);
    (canReturn ? last : this.#root).focus({ preventScroll: true });
  }

  /** Focus the first control of the area, or the area itself. `ifLost`: only if no control has the focus now. */
  move(area, ifLost, attempts = FOCUS_ATTEMPTS) {
    if (!this.#mayMove || attempts === 0) return;
    if (ifLost && !this.#isLost && document.activeElement !== this.#root) return;
    const found = [...this.#root.querySelectorAll(`.swb-area-${area}`)].find(isVisible);
    if (!found) {
      requestAnimationFrame(() => this.move(area, ifLost, attempts - 1));
      return;
    }
    const control = [found, ...found.querySelectorAll(FOCUSABLE)].find((each) => each.matches(FOCUSABLE) && isVisible(each));
    if (!control) found.tabIndex = -1;
    (control ?? found).focus({ preventScroll: true });
    found.scrollIntoView({ block: "nearest" });
  }

  /** Scroll an area into view without moving the focus. */
  reveal(area) {
    if (this.#mayMove) this.#root.querySelector(`.swb-area-${area}`)?.scrollIntoView({ block: "nearest" });
  }
}

/** Two live regions that stay in the page. A region that is added together with its text is often not announced. */
class Announcer {
  #polite = make("div", "swb-hidden-visually");
  #urgent = make("div", "swb-hidden-visually");

  constructor(el) {
    this.#polite.setAttribute("role", "status");
    this.#urgent.setAttribute("role", "alert");
    el.append(this.#polite, this.#urgent);
  }

  say(text, urgent) {
    const region = urgent ? this.#urgent : this.#polite;
    region.textContent = "";
    requestAnimationFrame(() => (region.textContent = text)); // so that an equal text is announced again
  }
}

/**
 * The unsent text, kept in the browser's storage, so that it survives a reload and the end of the kernel.
 *
 * The kernel tells which resource and version the text began with. A text that was kept for that resource is put
 * back once, with the version that it began with, so that the lock still protects what others have changed since.
 */
class Draft {
  #model;
  #bar = make("div", "swb-draft swb-bar");
  #origin;
  #doc;
  #timer = 0;

  constructor(el, model, root, signal) {
    this.#model = model;
    this.#bar.hidden = true;
    el.append(this.#bar);
    root.addEventListener("swb:text", ({ detail }) => this.#edited(detail.doc), { signal });
    window.addEventListener("pagehide", () => this.#store(), { signal });
  }

  get text() {
    return this.#doc?.toString() ?? "";
  }

  began(origin) {
    const isNew = origin.key !== this.#origin?.key;
    this.#origin = origin;
    if (origin.live && this.#bar.hidden) this.#offerToKeep();
    if (isNew) this.#putBack();
    else this.#store();
  }

  forget() {
    if (this.#origin) localStorage.removeItem(this.#origin.key);
    this.#hide();
  }

  #edited(doc) {
    const isFirst = this.#doc === undefined;
    this.#doc = doc;
    if (isFirst) this.#putBack();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#store(), DRAFT_PAUSE_MS);
  }

  get #mayKeep() {
    return this.#origin && (!this.#origin.live || localStorage.getItem(`${this.#origin.host}:keep`) === "yes");
  }

  #store() {
    clearTimeout(this.#timer);
    if (!this.#doc || !this.#mayKeep) return;
    const { key, base, etag } = this.#origin;
    if (this.#doc.length > LONGEST_DRAFT) {
      this.#show("This text is too long to be kept in the browser. A reload of the page may lose it.");
      return;
    }
    const text = this.text;
    if (text === base || text === "") {
      localStorage.removeItem(key);
      return;
    }
    try {
      localStorage.setItem(key, JSON.stringify({ text, base, etag, time: Date.now() }));
    } catch {
      this.#show("The browser has no room left to keep this text. A reload of the page may lose it.");
    }
  }

  /** Put a kept text back, unless the editor already holds changes. */
  #putBack() {
    if (!this.#doc || !this.#mayKeep || this.text !== this.#origin.base) return;
    const kept = JSON.parse(localStorage.getItem(this.#origin.key) ?? "null");
    if (!kept || kept.text === this.#origin.base) return;
    const time = new Date(kept.time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    this.#model.send({ kind: "restore", text: kept.text, base: kept.base, etag: kept.etag });
    this.#show(`Your unsent text from ${time} is back in the editor.`, [
      makeButton("Discard it", () => {
        this.forget();
        this.#model.send({ kind: "discard" });
      }),
      makeButton("Keep it", () => this.#hide()),
    ]);
  }

  #offerToKeep() {
    const label = make("label", "swb-muted", " Keep my unsent text in this browser");
    const box = make("input", "");
    box.type = "checkbox";
    const key = `${this.#origin.host}:keep`;
    box.checked = localStorage.getItem(key) === "yes";
    box.addEventListener("change", () => {
      if (box.checked) localStorage.setItem(key, "yes");
      else {
        localStorage.removeItem(key);
        localStorage.removeItem(this.#origin.key);
      }
      this.#store();
    });
    label.prepend(box);
    this.#bar.replaceChildren(label);
    this.#bar.hidden = false;
  }

  #show(text, buttons = []) {
    this.#bar.replaceChildren(make("span", "", text), ...buttons);
    this.#bar.hidden = false;
  }

  #hide() {
    this.#bar.hidden = true;
    if (this.#origin?.live) this.#offerToKeep();
  }
}

/** The sentence that is shown while no kernel stands behind the widget. */
class KernelBanner {
  #el;
  #root;
  #banner = make("div", "swb-notice swb-bad swb-bar");

  constructor(el, model, root, draft, announcer, signal) {
    this.#el = el;
    this.#root = root;
    const sentence =
      "The kernel stopped or was restarted, so nothing can be sent from here. " +
      "Your text is kept. Run the cells of the notebook again.";
    const copied = makeButton("Copy my text", async () => {
      await copy(draft.text);
      copied.textContent = "Copied";
    });
    this.#banner.append(make("span", "", sentence), copied, this.#again());
    this.#banner.hidden = true;
    el.append(this.#banner);
    const look = () => queueMicrotask(() => this.#look(() => announcer.say(sentence, true)));
    model.on("comm_live_update", look);
    signal.addEventListener("abort", () => model.off("comm_live_update", look));
  }

  /** ipywidgets marks every view of a kernel that is gone with a class of its own. */
  #look(onGone) {
    const isGone = this.#el.closest(".jupyter-widgets-disconnected") !== null;
    const wasGone = !this.#banner.hidden;
    this.#banner.hidden = !isGone;
    this.#root.classList.toggle("swb-gone", isGone);
    if (isGone && !wasGone) onGone();
  }

  #again() {
    const cell = this.#root.closest(".jp-Cell");
    if (!cell) return makeButton("Reload the page", () => location.reload());
    return makeButton("Run the cell again", () => {
      cell.focus();
      // No public way leads from a widget to the notebook, so this presses its key for "run this cell".
      const options = { key: "Enter", code: "Enter", keyCode: 13, ctrlKey: true, bubbles: true, cancelable: true };
      cell.dispatchEvent(new KeyboardEvent("keydown", options));
    });
  }
}

/** Count the seconds of what is under way, without a message from the kernel, which may be busy. */
class Seconds {
  #timer = 0;

  constructor(root) {
    this.update(root);
  }

  update(root) {
    const isSending = root.classList.contains("swb-sending");
    if (isSending === (this.#timer !== 0)) return;
    if (!isSending) {
      this.stop();
      return;
    }
    const start = Date.now();
    this.#timer = setInterval(() => {
      const seconds = `${Math.floor((Date.now() - start) / 1000)} s`;
      for (const each of root.querySelectorAll(".swb-seconds")) each.textContent = seconds;
    }, 250);
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }
}

/** Give the groups of ipywidgets the roles and names that they lack. */
function nameGroups(root) {
  for (const box of root.querySelectorAll(".widget-radio-box:not([role])")) {
    box.setAttribute("role", "radiogroup");
    box.setAttribute("aria-label", box.parentElement.querySelector(".widget-label")?.textContent ?? "");
  }
  for (const box of root.querySelectorAll(".widget-toggle-buttons")) {
    box.setAttribute("role", "group");
    const about = box.closest(".swb-decision")?.querySelector("code, b");
    box.setAttribute("aria-label", about?.textContent ?? box.querySelector(".widget-label")?.textContent ?? "");
    for (const button of box.querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(button.classList.contains("mod-active")));
    }
  }
  for (const toggle of root.querySelectorAll("button.widget-toggle-button")) {
    toggle.setAttribute("aria-pressed", String(toggle.classList.contains("mod-active")));
  }
  for (const tabs of root.querySelectorAll('[role="tablist"]:not([aria-label])')) {
    tabs.setAttribute("aria-label", "Views of the exchanges");
  }
}

/** Scroll a diagram that is shown for the first time to its newest exchange, at its end. */
function showNewest(root, shown) {
  for (const picture of root.querySelectorAll(".swb-picture")) {
    if (shown.has(picture) || !isVisible(picture)) continue;
    shown.add(picture);
    picture.scrollTop = picture.scrollHeight;
  }
}

/** Announce each notice that appears, such as an error. */
function announceNotices(root, known, announcer) {
  const texts = [...root.querySelectorAll(".swb-notice")].filter(isVisible).map((each) => each.textContent);
  const fresh = texts.filter((text) => !known.has(text));
  known.clear();
  texts.forEach((text) => known.add(text));
  if (fresh.length > 0) announcer.say(fresh.join(" "), false);
}

/** Keep a workbench that was just opened in view, while the cells after it run, until the user does something. */
function stayInView(root) {
  const stop = new AbortController();
  const options = { capture: true, passive: true, signal: stop.signal };
  const show = () => root.scrollIntoView({ block: "start" });
  for (const name of ["pointerdown", "keydown", "wheel", "touchstart"]) {
    window.addEventListener(name, () => stop.abort(), options);
  }
  document.addEventListener("scroll", (event) => {
    if (event.target.contains?.(root)) show();
  }, options);
  setTimeout(() => stop.abort(), SETTLE_MS);
  show();
}

function start({ model, el, root, signal }) {
  keepNotebookShortcutsOut(root);
  root.addEventListener("keydown", (event) => {
    // The browser would offer to save the page.
    if ((event.ctrlKey || event.metaKey) && event.key === "s") event.preventDefault();
    if (event.key === "Enter" && event.target.matches(".swb-enter-loads input, .swb-enter-loads select")) {
      root.querySelector(".swb-area-load").click();
    }
  }, { capture: true, signal }); // text fields stop the event on its way up

  const focus = new Focus(root, signal);
  const announcer = new Announcer(el);
  const draft = new Draft(el, model, root, signal);
  new KernelBanner(el, model, root, draft, announcer, signal);
  const seconds = new Seconds(root);

  const notices = new Set();
  const pictures = new WeakSet();
  let frame = 0;
  const observer = new MutationObserver(() => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      nameGroups(root);
      seconds.update(root);
      focus.keep();
      announceNotices(root, notices, announcer);
      showNewest(root, pictures);
    });
  });
  observer.observe(root, { subtree: true, childList: true, attributeFilter: ["class", "disabled", "style"] });
  nameGroups(root);
  announceNotices(root, notices, { say: () => {} }); // those that were there before are not new

  const receive = (message) => {
    if (message.kind === "say") announcer.say(message.text, message.urgent);
    if (message.kind === "focus") focus.move(message.area, message.ifLost);
    if (message.kind === "reveal") focus.reveal(message.area);
    if (message.kind === "copy") copy(message.text);
    if (message.kind === "began") draft.began(message);
    if (message.kind === "forget") draft.forget();
  };
  model.on("msg:custom", receive);
  signal.addEventListener("abort", () => {
    model.off("msg:custom", receive);
    observer.disconnect();
    seconds.stop();
  });
  // The editor is asked, because it may have been drawn before this frame listened.
  for (const editor of root.querySelectorAll(".swb-editor")) editor.dispatchEvent(new Event("swb:tell"));
  model.send({ kind: "want" });

  const isInNotebook = root.closest(".jp-NotebookPanel") !== null; // in Voilà it is at the top anyway
  if (isInNotebook && model.get("opens") && !model.get("opened")) {
    model.set("opened", true);
    model.save_changes();
    stayInView(root);
  }
}

function render({ model, el }) {
  el.classList.add("swb-frame");
  const control = new AbortController();
  const begin = () => {
    if (control.signal.aborted) return;
    const root = el.isConnected ? el.closest(".swb") : null;
    if (root) start({ model, el, root, signal: control.signal });
    else requestAnimationFrame(begin); // ipywidgets draws a child before it attaches the parent
  };
  begin();
  return () => control.abort();
}

export default { render };
