// Asks the browser for a passkey when somebody wants to sign in by one. The
// forms are there for those who have scripts; all else works without.
"use strict";

const bytes = (text) => {
  const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(plain, (letter) => letter.charCodeAt(0));
};

const text = (buffer) => {
  const plain = String.fromCharCode(...new Uint8Array(buffer));
  return btoa(plain).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
};

const sign = async (options) => {
  const allowed = options.allowCredentials.map((one) => ({ ...one, id: bytes(one.id) }));
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: allowed };
  const { id, response } = await navigator.credentials.get({ publicKey });
  return JSON.stringify({
    id,
    response: {
      clientDataJSON: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle ? text(response.userHandle) : null,
    },
  });
};

for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential) continue;
  form.hidden = false;
  form.querySelector("button").addEventListener("click", async () => {
    try {
      form.elements.code.value = await sign(JSON.parse(form.dataset.passkey));
      form.submit();
    } catch {
      form.querySelector("p").hidden = false;
    }
  });
}
