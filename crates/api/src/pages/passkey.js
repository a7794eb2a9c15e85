// Asks the browser for a passkey, and sends what comes of it with a form like any other. The
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

const known = (list) => list.map((one) => ({ ...one, id: bytes(one.id) }));

const sign = async (options, more) => {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    allowCredentials: known(options.allowCredentials),
  };
  const { id, response } = await navigator.credentials.get({ publicKey, ...more });
  return {
    id,
    response: {
      clientDataJSON: text(response.clientDataJSON),
      authenticatorData: text(response.authenticatorData),
      signature: text(response.signature),
      userHandle: response.userHandle ? text(response.userHandle) : null,
    },
  };
};

const make = async (options, more) => {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: known(options.excludeCredentials),
  };
  const { id, response } = await navigator.credentials.create({ publicKey, ...more });
  return {
    id,
    response: {
      clientDataJSON: text(response.clientDataJSON),
      attestationObject: text(response.attestationObject),
    },
  };
};

const begin = (form) => {
  const options = JSON.parse(form.dataset.passkey);
  const alert = form.querySelector("p");
  const ask = form.dataset.ask === "make" ? make : sign;
  const send = (made) => {
    form.elements.code.value = JSON.stringify(made);
    form.submit();
  };
  // A browser has one question open at a time: the button takes the place of the list at the field.
  let open = new AbortController();
  const fill = async () => {
    if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    open = new AbortController();
    const { signal } = open;
    await sign(options, { mediation: "conditional", signal }).then(send, () => {});
  };
  form.querySelector("button").addEventListener("click", async () => {
    open.abort();
    alert.hidden = true;
    try {
      send(await ask(options));
    } catch {
      alert.hidden = false;
    }
  });
  form.hidden = false;
  if (form.dataset.ask === "fill") fill();
};

// Passkeys belong to a name; under a bare address there are none.
const named = !/^[\d.]+$|:/.test(location.hostname);
if (window.PublicKeyCredential && named) {
  document.querySelectorAll("form[data-passkey]").forEach(begin);
}
