// The widgets of commercial services, loaded from them when the shop uses one.

const SCRIPTS = {
  turnstile: 'https://challenges.cloudflare.com/turnstile/v0/api.js?render=explicit',
  hcaptcha: 'https://js.hcaptcha.com/1/api.js?render=explicit',
};
const PATIENCE_MS = 15_000;

const loading = {};

function load(name) {
  loading[name] ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = SCRIPTS[name];
    script.async = true;
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
    setTimeout(failed, PATIENCE_MS);
  }).catch((error) => {
    delete loading[name];
    throw error;
  });
  return loading[name];
}

/** Shows the widget in `place`; then calls `solved(response)` or `failed()`. */
export async function showService({ way, site_key: sitekey }, place, solved, failed) {
  try {
    await load(way);
    const id = window[way].render(place, { sitekey, callback: solved, 'error-callback': failed });
    return () => window[way].remove?.(id);
  } catch {
    failed();
    return () => {};
  }
}
