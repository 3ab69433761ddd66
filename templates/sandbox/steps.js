// Comfort only: without it there is a link to look again.
"use strict";

async function look() {
  const answer = await fetch("/guide");
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const now of document.querySelectorAll("[data-live]")) {
    const next = page.getElementById(now.id);
    if (next && next.innerHTML !== now.innerHTML && !now.contains(document.activeElement)) {
      now.innerHTML = next.innerHTML;
    }
  }
}

setInterval(() => document.hidden || look().catch(() => {}), 1500);
