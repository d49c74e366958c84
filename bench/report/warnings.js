/** So many are told one by one; the others are in the JSON. */
const TOLD = 8

/** What a reader must know before the numbers are believed. */
export function warnings ({ warnings: all = [] }) {
  if (all.length === 0) return ''
  const more = all.length > TOLD ? [`and ${all.length - TOLD} more.`] : []
  return ['> [!WARNING]', ...[...all.slice(0, TOLD), ...more].map(warning => `> ${warning}  `)].join('\n')
}
