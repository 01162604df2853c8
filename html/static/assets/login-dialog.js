// The login form in a dialog, for pages that are not about logging in.

/** Wires the dialog; returns how to open and close it. */
export function loginDialog() {
  const dialog = document.querySelector('#login');
  document.querySelector('#login-close').addEventListener('click', () => dialog.close());
  return {
    open() {
      if (!dialog.open) dialog.showModal();
      document.querySelector('#user').focus();
    },
    close() {
      if (dialog.open) dialog.close();
    },
  };
}
