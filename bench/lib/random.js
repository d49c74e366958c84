/** One of many, each as often as its `share` of the sum of all says. */
export function pickByShare (all) {
  let rest = Math.random() * all.reduce((sum, { share }) => sum + share, 0)
  return all.find(({ share }) => (rest -= share) < 0) ?? all.at(-1)
}
