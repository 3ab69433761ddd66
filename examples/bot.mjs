// A bot for Node 18 or newer, without packages. Its chat is standard input: a person, a tab, a text.
import { createInterface } from "node:readline";

const { SITE, SERVICE_KEY } = process.env;
const API = process.env.GOOGLE_API ?? "https://openidconnect.googleapis.com";
const CODE = /^\s*[bcdfghjkmnpqrtvwxy3479]{3}[\s-]*[bcdfghjkmnpqrtvwxy3479]{3}\s*$/i;

/** Ask the site. An answer that is no success has a code. */
async function ask(call, members) {
  const answer = await fetch(`${SITE}/api/v1/${call}`, {
    method: "POST",
    redirect: "error",
    headers: { Authorization: `Bearer ${SERVICE_KEY}`, "Content-Type": "application/json" },
    body: JSON.stringify(members),
  });
  return answer.json();
}

/** Ask Google with the person's token; if it is refused, once more with a renewed one. */
async function google(wanted, refused) {
  const held = await ask("token", { ...wanted, refused });
  if (held.code) return held;
  const answer = await fetch(`${API}/v1/userinfo`, {
    redirect: "error",
    headers: { Authorization: `Bearer ${held.access_token}` },
  });
  if (answer.status === 401 && !refused) return google(wanted, held.access_token);
  return answer.ok ? answer.json() : { code: `status ${answer.status}` };
}

async function whoami(person, account) {
  const found = await google({ user_id: person, provider: "google", account: account || undefined });
  if (!found.code) return `You are ${found.email}.`;
  if (found.accounts) return `Which one? Say whoami and one of: ${found.accounts.join(", ")}`;
  if (found.connect_url) return `Connect Google: ${found.connect_url}`; // for them alone
  return `That did not work (${found.code}). Try again later.`;
}

/** Answer a message of the person's own; who they are says the chat, and never the text. */
async function answer(person, text) {
  if (CODE.test(text)) {
    const proof = await ask("proofs", { user_id: person, code: text });
    if (proof.outcome === "matches") return "That matches. Go on in the browser.";
    if (proof.outcome === "no_match") return "That is not the code on your page.";
  }
  const [word, account] = text.trim().split(/\s+/);
  return word === "whoami" ? whoami(person, account) : "I know whoami.";
}

for await (const line of createInterface({ input: process.stdin })) {
  const [person, text] = line.split("\t");
  const said = await answer(person, text ?? "").catch(() => "Something is broken. Try again later.");
  console.log(`${person}\t${said}`);
}
