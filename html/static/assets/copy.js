// Copies a text, also where browsers keep the clipboard from scripts: on http:// addresses.

/** Whether `text` is in the clipboard now. To be called from a click. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text);
  }
}

function copiedBySelection(text) {
  const focused = document.activeElement;
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'unseen';
  field.readOnly = true;
  document.body.append(field);
  field.select();
  let done = false;
  try {
    done = document.execCommand('copy');
  } catch {
    // Then it is not copied, which the caller says.
  }
  field.remove();
  focused?.focus({ preventScroll: true });
  return done;
}
