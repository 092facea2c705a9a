// Keeps the page up to date. Everything reads without it; nothing here builds markup from texts.
"use strict";
(() => {
  const source = document.body.dataset.events;
  const live = document.getElementById("live");
  const cards = () => document.querySelectorAll("[data-service]");
  let refreshing = null;

  const set = (card, part, text) => {
    const place = card.querySelector(`[data-part="${part}"]`);
    if (place && text !== undefined && place.textContent !== text) place.textContent = text;
  };

  const show = (card, service) => {
    const icon = card.querySelector("[data-part=icon] use");
    const state = card.querySelector(".state");
    if (card.dataset.state !== service.state) {
      card.dataset.state = service.state;
      card.classList.remove("changed");
      void card.offsetWidth;
      card.classList.add("changed");
    }
    if (icon) {
      icon.setAttribute("href", `#i-${service.class}`);
      icon.parentNode.setAttribute("class", `icon ${service.class}`);
    }
    if (state) state.className = `state ${service.class}`;
    for (const part of ["word", "since", "detail", "cpu", "memory", "response"]) set(card, part, service[part]);
  };

  // What somebody has opened and typed stays as it is when a part is shown anew.
  const keep = (part, other) => {
    for (const open of part.querySelectorAll("details[open]")) {
      const fresh = other.querySelector(`#${CSS.escape(open.id)}`);
      if (!fresh) continue;
      fresh.open = true;
      for (const field of open.querySelectorAll("input, select")) {
        const same = fresh.querySelector(`[name="${field.name}"]`);
        if (same) same.value = field.value;
      }
    }
  };

  // How to find again what has the focus; nothing while somebody types or chooses there, which is not to be disturbed.
  const place = (element) => {
    if (element.matches("summary")) return `#${CSS.escape(element.parentNode.id)} > summary`;
    return element.id ? `#${CSS.escape(element.id)}` : null;
  };

  // Banner, incidents, actions, alerts and the picture come from the server as it would show them now.
  const refresh = async () => {
    refreshing = null;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-refresh]")) {
      const other = fresh.getElementById(part.id);
      const focused = part.contains(document.activeElement) ? document.activeElement : null;
      const again = focused && place(focused);
      if (!other || other.innerHTML === part.innerHTML || (focused && !again)) continue;
      keep(part, other);
      part.replaceWith(other);
      if (again) document.querySelector(again)?.focus({ preventScroll: true });
    }
    // Other services than a moment ago.
    const names = (root) => [...root.querySelectorAll("[data-service]")].map((card) => card.dataset.service).sort().join();
    const [list, other] = [document, fresh].map((root) => root.querySelector("#list"));
    if (list && other && names(list) !== names(other)) list.replaceWith(other);
    filter();
  };
  const soon = (wait) => { refreshing ??= setTimeout(refresh, wait); };
  // What the history has for the page may be two seconds old: a second look shows the incident too.
  let later = null;
  const twice = () => { soon(250); clearTimeout(later); later = setTimeout(() => soon(0), 2500); };

  const form = document.querySelector("form.filter");
  const filter = () => {
    if (!form) return;
    const text = form.elements.q.value.trim().toLowerCase();
    const group = form.elements.state.value;
    for (const card of cards()) {
      const fits = card.dataset.service.toLowerCase().includes(text)
        && (!group || card.querySelector(".state").classList.contains(group));
      card.hidden = !fits;
    }
  };
  if (form) form.addEventListener("input", filter);

  // Forms about alerts: as without the script, but the page stays. Who one is has to be typed once.
  const NAME = "dixmgr-name";
  const remembered = () => { try { return localStorage.getItem(NAME) ?? ""; } catch { return ""; } };
  const remember = (name) => { try { localStorage.setItem(NAME, name); } catch { /* then it is typed again */ } };
  document.addEventListener("toggle", (event) => {
    const by = event.target.querySelector?.("form.act [name=by]");
    if (event.target.open && by && !by.value) by.value = remembered();
  }, true);
  document.addEventListener("submit", async (event) => {
    const act = event.target;
    if (!act.matches("form.act")) return;
    event.preventDefault();
    const buttons = act.querySelectorAll("button");
    const problem = act.querySelector(".problem");
    for (const button of buttons) button.disabled = true;
    problem.hidden = true;
    const said = new URLSearchParams(new FormData(act));
    const answer = await fetch(event.submitter.formAction, { method: "POST", body: said, redirect: "manual" }).catch(() => null);
    for (const button of buttons) button.disabled = false;
    if (answer?.type !== "opaqueredirect") {
      const type = answer?.headers.get("content-type") ?? "";
      const text = await answer?.text() ?? "";
      if (type.startsWith("text/html")) problem.textContent = new DOMParser().parseFromString(text, "text/html").getElementById("problem")?.textContent ?? "It was refused.";
      else problem.textContent = text ? JSON.parse(text).error.message : "dixmgr cannot be reached.";
      problem.hidden = false;
      return;
    }
    remember(act.elements.by.value);
    const id = act.closest("li").id;
    act.closest("details").open = false;
    document.activeElement.blur();
    await refresh();
    document.getElementById(id)?.focus();
  });

  const events = new EventSource(source);
  events.addEventListener("open", () => { live.textContent = "live"; live.classList.add("on"); });
  events.addEventListener("error", () => { live.textContent = "not connected, trying again"; live.classList.remove("on"); });
  events.addEventListener("services", (event) => {
    const byName = new Map([...cards()].map((card) => [card.dataset.service, card]));
    let changed = false;
    for (const service of JSON.parse(event.data)) {
      const card = byName.get(service.name);
      changed ||= !card || card.dataset.state !== service.state;
      if (card) show(card, service);
    }
    filter();
    if (changed) twice();
  });
  events.addEventListener("alerts", () => soon(0));
  events.addEventListener("resync", () => soon(0));
  setInterval(() => { if (!document.hidden) soon(0); }, 60000);
})();
