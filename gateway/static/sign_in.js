// Asks for a token where the server wants one. The server keeps it in a cookie that scripts cannot read.

import { el, sheet } from "./dom.js";

const FLAG = "lookalike-signed-in";
let asking = null;
let refused = false; // who does not want to is not asked again until the page is loaded anew

async function trySignIn(token) {
  const response = await fetch("/session", {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }),
  });
  if (response.ok) return "";
  const problem = await response.json().catch(() => ({}));
  return problem.detail ?? `Status ${response.status}`;
}

function ask() {
  return new Promise((resolve) => {
    const input = el("input", { type: "password", id: "token", required: true, maxLength: 256, autocomplete: "current-password" });
    const said = el("p.faint", { role: "alert" });
    const form = el("form", { method: "dialog" },
      el("h2", {}, "Sign in"),
      el("label", { htmlFor: "token" }, "This server wants a token. Whoever runs it can give you one."),
      input,
      said,
      el("div.buttons", {},
        el("button.button.strong", { type: "submit" }, "Sign in"),
        el("button.button", { type: "button", onclick: () => { refused = true; dialog.close(); } }, "Cancel")));
    const dialog = el("dialog.sign-in", { "aria-label": "Sign in" }, form);
    let signedIn = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const problem = await trySignIn(input.value.trim());
      if (problem) {
        said.textContent = `That did not work: ${problem}.`;
        input.select();
        return;
      }
      signedIn = true;
      sessionStorage.setItem(FLAG, "1");
      dialog.close();
    });
    dialog.addEventListener("cancel", () => { refused = true; });
    dialog.addEventListener("close", () => { dialog.remove(); resolve(signedIn); });
    sheet("sign_in.css").then(() => { document.body.append(dialog); dialog.showModal(); });
  });
}

// Resolves to whether somebody signed in; several calls that need it ask once.
export function signIn() {
  if (refused) return Promise.resolve(false);
  asking ??= ask().finally(() => { asking = null; });
  return asking;
}

export const signedIn = () => sessionStorage.getItem(FLAG) === "1";

export async function signOut() {
  await fetch("/session", { method: "DELETE" });
  sessionStorage.removeItem(FLAG);
  location.reload();
}
