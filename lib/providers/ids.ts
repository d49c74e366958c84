/** What an id looks like at a provider. Every id is also checked by the route's own rules. */
export interface IdGrammar {
  readonly pattern: RegExp
  /** Completes "expected …" in messages. */
  readonly description: string
}

/** For providers that document no stricter form. */
export const SEGMENT_ID: IdGrammar = {
  pattern: /^[A-Za-z0-9][\w.-]{0,254}$/,
  description: '1 to 255 letters, digits, underscores, dots and hyphens, the first one a letter or digit'
}

/** For OpenAI and the servers that follow it, some of which encode more into an id. */
export const OPENAI_ID: IdGrammar = {
  pattern: /^[A-Za-z0-9][\w.:=~+-]{0,511}$/,
  description: 'an id such as batch_abc123: letters, digits and _ . : = ~ + -, the first one a letter or digit'
}

export const UUID_ID: IdGrammar = {
  pattern: /^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/,
  description: 'a UUID'
}
