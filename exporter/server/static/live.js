// Updates a page at each evaluation, by the events of /events, and by polling where there are none.
// If nothing new comes, it says within seconds that the values are old.
"use strict";
(() => {
  const main = document.getElementById("main");
  const notice = document.getElementById("stale");
  if (!main.dataset.live) return;

  const POLL = 5_000; // ms between polls without events
  const UPDATE = 15_000; // ms between updates without events
  const QUIET = 12_000; // ms without an event, of which one comes every 5 s, or a poll
  const RETRY = 60_000; // ms between attempts to get events where they are refused
  const SPREAD = 2_000; // ms over which all open pages ask again
  let heard = performance.now(); // when the exporter last answered
  let lost = false; // it did not answer the last poll
  let goodUntil = Infinity; // when its evaluation will be too old
  let oldest = UPDATE; // ms, the age at which an evaluation is too old
  let shown = performance.now(); // when what the page shows was asked for
  let published = new Date();
  let evaluated = null;
  let asking = false;
  let missed = false;

  function fresh(milliseconds, age) {
    heard = performance.now();
    lost = false;
    goodUntil = heard + milliseconds;
    published = new Date(Date.now() - 1_000 * age);
    judge();
  }

  function reason() {
    const now = performance.now();
    if (lost || now - heard > QUIET || now > goodUntil) {
      return "the exporter does not answer or has stopped evaluating";
    }
    return now - shown > oldest + UPDATE + SPREAD ? "the page could not be updated" : null;
  }

  function judge() {
    const why = reason();
    if ((why !== null) === !notice.hidden) return;
    const since = new Date(Math.min(published, Date.now() - (performance.now() - shown)));
    notice.textContent =
      why === null ? "" : `No new values since ${since.toLocaleTimeString()}: ${why}. What this page shows is old.`;
    notice.hidden = why === null;
    document.body.classList.toggle("old", why !== null);
  }

  // Whether a reader would lose what they are doing.
  function busy() {
    if (main.dataset.live !== "page") return false;
    const focused = document.activeElement;
    const typing = main.contains(focused) && focused.matches("input, select, textarea");
    return typing || (notice.hidden && !getSelection().isCollapsed);
  }

  async function update() {
    if (document.hidden || busy()) {
      missed = true;
      return;
    }
    if (asking) return;
    asking = true;
    missed = false;
    const asked = performance.now();
    try {
      if (main.dataset.live === "page") await replace();
      else await script();
      shown = asked;
      judge();
    } catch {
      missed = true; // the next event tries again
    } finally {
      asking = false;
    }
  }

  async function replace() {
    const answer = await fetch(location.href, { signal: AbortSignal.timeout(2 * UPDATE) });
    if (!answer.ok) throw new Error(answer.statusText);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (busy()) throw new Error("busy");
    const scrolled = [...main.querySelectorAll(".table")].map((table) => table.scrollLeft);
    const focused = main.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    document.title = page.title;
    main.replaceChildren(...page.getElementById("main").childNodes);
    main.querySelectorAll(".table").forEach((table, index) => (table.scrollLeft = scrolled[index] ?? 0));
    if (focused !== null) main.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  }

  // The page has a script of its own, which asks for itself.
  async function script() {
    const updates = [];
    document.dispatchEvent(new CustomEvent("evaluated", { detail: updates }));
    await Promise.all(updates);
  }

  function listen() {
    const events = new EventSource("/events");
    let polling = null;
    let polls = 0;
    events.onmessage = (event) => {
      clearInterval(polling);
      polling = null;
      const state = JSON.parse(event.data);
      oldest = state.oldest * 1_000;
      fresh((state.oldest - state.age) * 1_000, state.age);
      const first = evaluated === null;
      if (state.evaluated === evaluated) {
        if (missed) update();
        return;
      }
      evaluated = state.evaluated;
      if (!first) setTimeout(update, Math.random() * SPREAD);
    };
    events.onerror = () => {
      if (polling === null) {
        poll(0);
        polling = setInterval(() => poll((polls += 1)), POLL);
      }
      if (events.readyState !== EventSource.CLOSED) return; // otherwise the browser connects again by itself
      setTimeout(() => {
        clearInterval(polling);
        listen();
      }, RETRY);
    };
  }

  async function poll(number) {
    try {
      const answer = await fetch("/-/healthy", { signal: AbortSignal.timeout(POLL) });
      lost = !answer.ok;
      if (answer.ok) fresh(QUIET, 0);
    } catch (error) {
      lost = error.name !== "TimeoutError"; // a slow answer is waited for until QUIET has passed
    }
    judge();
    if (!lost && number % (UPDATE / POLL) === 0) await update();
  }

  document.addEventListener("visibilitychange", () => {
    judge();
    if (!document.hidden && missed) update();
  });
  setInterval(judge, 1_000);
  listen();
})();
