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

  // Banner, incidents, actions, alerts and the picture come from the server as it would show them now.
  const refresh = async () => {
    refreshing = null;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of document.querySelectorAll("[data-refresh]")) {
      const other = fresh.getElementById(part.id);
      if (other && other.innerHTML !== part.innerHTML && !part.contains(document.activeElement)) part.replaceWith(other);
    }
    // Other services than a moment ago.
    const names = (root) => [...root.querySelectorAll("[data-service]")].map((card) => card.dataset.service).sort().join();
    const [list, other] = [document, fresh].map((root) => root.querySelector(".cards"));
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
  events.addEventListener("resync", () => soon(0));
  setInterval(() => { if (!document.hidden) soon(0); }, 60000);
})();
