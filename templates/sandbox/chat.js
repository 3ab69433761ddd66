// Comfort only: without it the forms send the page and the page shows everything.
"use strict";

const messages = document.getElementById("messages");
const trouble = document.getElementById("trouble");
const chips = document.getElementById("chips");
const text = document.getElementById("text");
let looking = Promise.resolve();

async function lookNow() {
  const last = messages.lastElementChild?.dataset.number ?? 0;
  const answer = await fetch(`${messages.dataset.new}?after=${last}`);
  if (answer.status === 200) {
    messages.insertAdjacentHTML("beforeend", await answer.text());
    document.getElementById("log").scrollTop = 0; // the box is upside down: its end
    await offer();
  }
}

// The messages that make sense now; a press has had its effect when the bot says something.
async function offer() {
  const answer = await fetch(chips.dataset.new);
  if (!answer.ok) return;
  const had = chips.contains(document.activeElement);
  chips.innerHTML = await answer.text();
  if (had) text.focus();
}

// One after the other, or a message would be added twice.
function look() {
  looking = looking.then(lookNow).catch(() => {});
  return looking;
}

async function send(event) {
  event.preventDefault();
  const isTyped = event.target.contains(text);
  const sent = isTyped ? text.value : event.submitter.value;
  if (isTyped) {
    text.value = "";
    text.focus();
  }
  try {
    const body = new URLSearchParams({ text: sent });
    const answer = await fetch(event.target.action, { method: "POST", body, redirect: "manual" });
    if (answer.type !== "opaqueredirect") throw new Error("refused");
    trouble.textContent = "";
    await look();
  } catch {
    trouble.textContent = "Not sent. Is the demo still running?";
    if (isTyped) text.value ||= sent;
  }
}

for (const form of document.forms) form.addEventListener("submit", send);
document.addEventListener("visibilitychange", () => document.hidden || look());
setInterval(() => document.hidden || look(), 2000);
