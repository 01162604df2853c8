// Fills values into a phrase. Pure.

/**
 * `{name}` becomes the value. `{n|item|items}` is one of the words by the value's
 * number: two forms are those for one and for more; languages with others name them,
 * `{n|one=…|two=…|few=@ …|other=@ …}`, as Intl.PluralRules does; `@` is the value.
 */
export function phrase(text, values, lang) {
  return text
    .replace(/\{(\w+)\|([^{}]*)\}/g, (_, name, forms) => form(forms.split('|'), values[name], lang))
    .replace(/\{(\w+)\}/g, (_, name) => values[name] ?? '');
}

function form(forms, value, lang) {
  const number = Number(String(value).replace(/[^\d.]/g, ''));
  if (!forms[0].includes('=')) return number === 1 ? forms[0] : forms[1];
  const named = Object.fromEntries(forms.map((it) => it.split('=')));
  const found = named[new Intl.PluralRules(lang).select(number)] ?? named.other ?? '';
  return found.replace('@', value);
}
