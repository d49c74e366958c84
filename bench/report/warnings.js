/** So many are listed; the others are in the JSON. */
const MAX_LISTED = 8

/** What a reader must know before the numbers are believed. */
export function warnings ({ warnings: all = [] }) {
  if (all.length === 0) return ''
  const more = all.length > MAX_LISTED ? [`and ${all.length - MAX_LISTED} more.`] : []
  return ['> [!WARNING]', ...[...all.slice(0, MAX_LISTED), ...more].map(warning => `> ${warning}  `)].join('\n')
}
