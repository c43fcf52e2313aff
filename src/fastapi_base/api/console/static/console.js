// Improves pages that work without it: times in the viewer's zone, and passkeys.
"use strict";

const FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function showLocalTimes() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    time.title = time.textContent;
    time.textContent = FORMAT.format(new Date(time.dateTime));
  }
}

// The login page's form receives the authenticator's response, and the browser sends it.
async function askForPasskey(form) {
  const said = form.querySelector("[role=status]");
  try {
    const options = JSON.parse(form.dataset.passkey);
    const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
    const credential = await navigator.credentials.get({ publicKey });
    form.elements.credential.value = JSON.stringify(credential.toJSON());
    form.submit();
  } catch (error) {
    said.textContent = `No passkey was used: ${error.message}`;
  }
}

showLocalTimes();
for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    askForPasskey(form);
  });
  askForPasskey(form);
}
