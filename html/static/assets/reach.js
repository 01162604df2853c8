// Whether the shop can be reached, by what calls have shown. What the browser claims
// is not used: `navigator.onLine` is false beside a VPN through which every request is
// answered, and true behind a router that lost its line.

/** So many calls in a row without any response mean that the shop cannot be reached. */
const MISSES = 2;

let missed = 0;
const told = new Set();

export const isReached = () => missed < MISSES;

/** Calls `tell(isReached)` whenever that changes. */
export const onReach = (tell) => told.add(tell);

/** Notes a call: `answered` if there was any response, a refusal or an error page included. */
export function noteCall(answered) {
  const before = isReached();
  missed = answered ? 0 : missed + 1;
  if (isReached() === before) return;
  for (const tell of told) tell(!before);
}
