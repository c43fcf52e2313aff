// Shows what is new every two seconds, and says so when `make up` has ended.
"use strict";
const EVERY_MILLISECONDS = 2000;
const PARTS = ["#live", "footer", ".verdict", "title"];

async function refresh() {
  try {
    const reply = await fetch("/", { cache: "no-store" });
    if (!reply.ok) throw new Error(reply.statusText);
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const part of PARTS) {
      const old = document.querySelector(part);
      const next = fresh.querySelector(part);
      // Left alone where nothing changed, so that a selection or the focus stays.
      if (old.outerHTML !== next.outerHTML) old.replaceWith(next);
    }
  } catch {
    const verdict = document.querySelector(".verdict");
    verdict.className = "verdict bad";
    verdict.textContent = "make up has ended";
  }
  setTimeout(refresh, EVERY_MILLISECONDS);
}

setTimeout(refresh, EVERY_MILLISECONDS);
