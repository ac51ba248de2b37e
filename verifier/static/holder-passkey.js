// Passkeys: making one for whoever is signed in, and signing in with one. Buttons say what they do:
//   <button data-passkey="create" data-failed="…" data-unsupported="…">   and "sign-in"
// Where the browser knows no passkeys the button says so; nothing else on the page needs this module.

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

/** @param {string} path @param {unknown} [body] @returns {Promise<any>} */
async function post(path, body) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body ?? {}),
    credentials: "same-origin",
  });
  if (!answer.ok) throw new Error(String(answer.status));
  return answer.json();
}

async function create() {
  const options = await post("/holder/passkeys/options");
  const made = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: (options.excludeCredentials ?? []).map((one) => ({ ...one, id: bytes(one.id) })),
    },
  });
  await post("/holder/passkeys", {
    id: made.id,
    rawId: text(made.rawId),
    type: made.type,
    response: {
      clientDataJSON: text(made.response.clientDataJSON),
      attestationObject: text(made.response.attestationObject),
    },
  });
}

async function signIn() {
  const options = await post("/holder/sign-in/options");
  const got = await navigator.credentials.get({ publicKey: { ...options, challenge: bytes(options.challenge) } });
  await post("/holder/sign-in", {
    id: got.id,
    rawId: text(got.rawId),
    type: got.type,
    response: {
      clientDataJSON: text(got.response.clientDataJSON),
      authenticatorData: text(got.response.authenticatorData),
      signature: text(got.response.signature),
      userHandle: got.response.userHandle ? text(got.response.userHandle) : null,
    },
  });
}

for (const button of document.querySelectorAll("[data-passkey]")) {
  const said = document.getElementById(button.getAttribute("aria-describedby") ?? "");
  const say = (words) => {
    if (said) said.textContent = words;
  };
  if (!window.PublicKeyCredential) {
    say(button.dataset.unsupported);
    button.disabled = true;
    continue;
  }
  button.hidden = false;
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await (button.dataset.passkey === "create" ? create() : signIn());
      location.replace(location.pathname + location.search);
    } catch {
      say(button.dataset.failed); // also when somebody pressed "cancel"
      button.disabled = false;
    }
  });
}
