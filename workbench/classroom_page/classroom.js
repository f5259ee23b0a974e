// The classroom's page: the presenter's, if the address has the presenter's token after the hash; else a phone's.
// Text from people reaches the page by textContent only.
"use strict";

const at = (id) => document.getElementById(id);

// The presenter's token leaves the address bar at once: everyone in the room can read that.
const given = new URLSearchParams(location.hash.slice(1)).get("presenter");
if (given) {
  sessionStorage.setItem("presenter", given);
  history.replaceState(null, "", location.pathname);
}
const presenter = sessionStorage.getItem("presenter");

/** Call the JSON interface; throw an Error whose message is a sentence for the reader. */
async function call(method, path, body, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  if (body) headers["Content-Type"] = "application/json";
  let response, content;
  try {
    const options = { method, headers, body: body && JSON.stringify(body), signal: AbortSignal.timeout(10_000) };
    response = await fetch(path, options);
    content = await response.json();
  } catch {
    throw new Error("No answer: the classroom has ended, or the network is down. Your entry may or may not be stored.");
  }
  if (!response.ok) {
    const error = new Error(content.sentence ?? `The classroom answered ${response.status}.`);
    error.status = response.status;
    throw error;
  }
  return content;
}

/** Make the items of a list show these texts; items that show the right text already stay. */
function showTexts(list, texts, className = () => "") {
  while (list.children.length > texts.length) list.lastChild.remove();
  texts.forEach((text, index) => {
    const item = list.children[index] ?? list.appendChild(document.createElement("li"));
    if (item.textContent !== text) item.textContent = text;
    item.className = className(index);
  });
}

// --- a phone ---

function startPhone() {
  // The session's storage is this tab's alone, and is gone when the tab is closed.
  let token = sessionStorage.getItem("classroom");

  function say(sentence, kind) {
    at("answer").textContent = sentence;
    at("answer").className = kind;
  }

  function showCopy(copy) {
    at("name").textContent = copy.name;
    at("held").textContent = copy.etag;
    showTexts(at("copy"), copy.entries);
  }

  function showJoined(joined) {
    at("join").hidden = joined;
    at("joined").hidden = !joined;
  }

  /** Run one step with all buttons off, so that a second tap does not send twice. */
  async function step(run) {
    const buttons = document.querySelectorAll("#phone button");
    buttons.forEach((button) => (button.disabled = true));
    try {
      await run();
    } catch (error) {
      say(error.message, "bad");
      if (error.status === 401) {
        sessionStorage.removeItem("classroom");
        showJoined(false);
      }
    } finally {
      buttons.forEach((button) => (button.disabled = false));
    }
  }

  async function load() {
    const copy = await call("POST", "api/load", {}, token);
    showJoined(true);
    showCopy(copy);
    at("exchange").hidden = true;
    say(`You hold version ${copy.etag}. Add your entry and send it.`, "");
  }

  at("join").addEventListener("submit", (event) => {
    event.preventDefault();
    const { code, name } = event.target.elements;
    step(async () => {
      ({ token } = await call("POST", "api/join", { code: code.value, name: name.value }));
      sessionStorage.setItem("classroom", token);
      await load();
      at("add").elements.text.focus();
    });
  });

  at("add").addEventListener("submit", (event) => {
    event.preventDefault();
    const { text, ifMatch } = event.target.elements;
    step(async () => {
      const done = await call("POST", "api/add", { text: text.value, ifMatch: ifMatch.checked }, token);
      say(done.sentence, done.status === 200 ? "good" : "bad");
      showCopy(done);
      at("exchange").hidden = false;
      at("wire").textContent = `${done.request}\n\n${done.response}`;
      if (done.status === 200) text.value = "";
    });
  });

  at("load").addEventListener("click", () => step(load));
  at("phone").hidden = false;
  if (token) step(load);
}

// --- the presenter ---

function startPresenter() {
  const post = (path, body) => call("POST", path, body, presenter);
  let locked = true;

  function show(state) {
    locked = state.locked;
    at("address").textContent = state.address;
    at("code").textContent = state.code;
    at("minutes").textContent = `ends in ${Math.max(0, Math.ceil(state.minutes))} min`;
    at("lock").setAttribute("aria-checked", String(locked));
    const policy = locked
      ? "The lock is on: a stale update gets 409, one without If-Match 412."
      : "The lock is off: every update is accepted, and the last one wins.";
    if (at("policy").textContent !== policy) at("policy").textContent = policy;
    document.body.classList.toggle("unlocked", !locked);

    at("accepted").textContent = state.accepted;
    at("refused").textContent = state.refused;
    at("lost-count").textContent = state.lost.length;
    at("etag").textContent = state.etag;
    showTexts(at("lost"), state.lost);
    showTexts(at("entries"), state.entries);

    const holders = new Map([[state.etag, []]]); // the current version first
    for (const { name, etag } of state.people) {
      holders.set(etag, [...(holders.get(etag) ?? []), name]);
    }
    const versions = [...holders.keys()];
    const describe = (etag) => {
      const names = holders.get(etag);
      const version = etag === state.etag ? `${etag}, current` : etag || "not loaded";
      return `${version} (${names.length}): ${names.join(", ")}`;
    };
    showTexts(at("people"), versions.map(describe), (index) => (versions[index] === state.etag ? "current" : ""));
  }

  /** Run one step and show the new state, or what went wrong. */
  async function step(run = async () => {}) {
    try {
      await run();
      show(await call("GET", "api/overview", null, presenter));
      at("problem").textContent = "";
    } catch (error) {
      const sentence = error.status ? error.message : "No answer: the classroom has ended, or the network is down.";
      if (at("problem").textContent !== sentence) at("problem").textContent = sentence;
    }
  }

  async function poll() {
    await step();
    setTimeout(poll, 1000);
  }

  at("lock").addEventListener("click", () => step(() => post("api/lock", { locked: !locked })));
  at("restart").addEventListener("click", () => step(() => post("api/restart", {})));
  at("wall").hidden = false;
  poll();
}

if (presenter) startPresenter();
else startPhone();
