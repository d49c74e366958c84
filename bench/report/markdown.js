/** A table of GitHub's Markdown; the columns after the first are numbers. */
export function table (heads, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(heads), line(heads.map((_, index) => index === 0 ? '---' : '---:')), ...rows.map(line)].join('\n')
}

/** A bar chart that GitHub draws. */
export function barChart (title, unit, bars) {
  const highest = Math.max(...bars.map(({ value }) => value))
  return ['```mermaid', 'xychart-beta horizontal',
    `  title "${title}"`,
    `  x-axis [${bars.map(({ name }) => `"${name}"`).join(', ')}]`,
    `  y-axis "${unit}" 0 --> ${Math.ceil(highest * 1.05)}`,
    `  bar [${bars.map(({ value }) => Math.round(value)).join(', ')}]`,
    '```'].join('\n')
}

/** A number with its significant digits. */
export function number (value) {
  const places = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: places, maximumFractionDigits: places })
}

const MISSING = '–'

/** A median, and between which bounds the rounds lie. */
export const spread = (values, scale = 1) =>
  values === undefined ? MISSING : `${number(values.median * scale)} (${number(values.min * scale)} to ${number(values.max * scale)})`

export const median = (values, scale = 1) => values === undefined ? MISSING : number(values.median * scale)

export const megabytes = (bytes) => number(bytes / 1e6)

export const paragraphs = (...parts) => parts.flat().filter(part => part !== undefined && part !== '').join('\n\n')
