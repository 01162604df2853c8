// Records a drag: when the piece was where. Pure.

/** Most moments of a track: more would not fit into the request. */
export const MOST = 240;

const tenth = (n) => Math.round(n * 10) / 10;

/** A drag that begins at `at` ms and (x, y) of the screen; `scale` turns its pixels into the picture's. */
export function begin(at, x, y, scale, most) {
  return { at, x, y, scale, most, moments: [[0, 0, 0]] };
}

/** How far the piece is for this x of the screen. */
export const wayAt = (drag, x) => Math.min(drag.most, Math.max(0, (x - drag.x) * drag.scale));

export function move(drag, at, x, y) {
  const last = drag.moments.at(-1);
  const time = Math.max(last[0], tenth(at - drag.at));
  drag.moments.push([time, tenth(wayAt(drag, x)), tenth((y - drag.y) * drag.scale)]);
  // A long drag keeps every second moment, and its end.
  if (drag.moments.length > MOST) drag.moments = drag.moments.filter((_, i) => i % 2 === 0);
}

/** The whole track; it ends where the hand let go. */
export function end(drag, at) {
  const [time, x, y] = drag.moments.at(-1);
  const released = Math.max(time, tenth(at - drag.at));
  return released > time ? [...drag.moments, [released, x, y]] : drag.moments;
}
