// Updates a page at each evaluation, by the events of /events, and by polling where there are none.
// If nothing new comes, it says that the values are old.
"use strict";
(() => {
  const main = document.getElementById("main");
  const notice = document.getElementById("stale");
  if (!main.dataset.live) return;

  const POLL = 15_000; // ms between polls without events, and between attempts to get events
  const SPREAD = 2_000; // ms over which all open pages ask again
  let goodUntil = performance.now() + 60_000;
  let published = new Date();
  let evaluated = null;
  let asking = false;
  let missed = false;

  function fresh(milliseconds, age) {
    goodUntil = performance.now() + milliseconds;
    published = new Date(Date.now() - 1_000 * age);
    judge();
  }

  function judge() {
    const old = performance.now() > goodUntil;
    if (old === !notice.hidden) return;
    notice.textContent = old
      ? `No new values since ${published.toLocaleTimeString()}: the exporter does not answer or has stopped evaluating. What this page shows is old.`
      : "";
    notice.hidden = !old;
    document.body.classList.toggle("old", old);
  }

  // Whether a reader would lose what they are doing.
  function busy() {
    if (main.dataset.live !== "page") return false;
    const focused = document.activeElement;
    const typing = main.contains(focused) && focused.matches("input, select, textarea");
    return typing || !getSelection().isCollapsed;
  }

  async function update() {
    if (document.hidden || busy()) {
      missed = true;
      return;
    }
    if (asking) return;
    asking = true;
    missed = false;
    try {
      if (main.dataset.live === "page") await replace();
      else document.dispatchEvent(new CustomEvent("evaluated")); // the script of the page asks for itself
    } catch {
      missed = true; // the next event tries again
    } finally {
      asking = false;
    }
  }

  async function replace() {
    const answer = await fetch(location.href);
    if (!answer.ok || busy()) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const scrolled = [...main.querySelectorAll(".table")].map((table) => table.scrollLeft);
    const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    document.title = page.title;
    main.replaceChildren(...page.getElementById("main").childNodes);
    main.querySelectorAll(".table").forEach((table, index) => (table.scrollLeft = scrolled[index] ?? 0));
    if (focused !== null) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  function listen() {
    const events = new EventSource("/events");
    let polling = null;
    events.onmessage = (event) => {
      clearInterval(polling);
      polling = null;
      const state = JSON.parse(event.data);
      fresh((state.oldest - state.age) * 1_000, state.age);
      const first = evaluated === null;
      if (state.evaluated === evaluated) return;
      evaluated = state.evaluated;
      if (!first) setTimeout(update, Math.random() * SPREAD);
    };
    events.onerror = () => {
      if (polling === null) polling = setInterval(poll, POLL);
      if (events.readyState !== EventSource.CLOSED) return; // otherwise the browser connects again by itself
      setTimeout(() => {
        clearInterval(polling);
        listen();
      }, 4 * POLL);
    };
  }

  async function poll() {
    try {
      const answer = await fetch("/-/healthy");
      if (!answer.ok) return;
      fresh(4 * POLL, 0);
      await update();
    } catch {
      // goodUntil passes
    }
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && missed) update();
  });
  setInterval(judge, 1_000);
  listen();
})();
