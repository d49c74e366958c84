/** Whether two ids name one batch: the forms of an id (a name, a URL's path, an ARN) have its last part in common. */
export const isSameId = (shown: string, requested: string): boolean =>
  shown === requested || lastPart(shown) === lastPart(requested)

/** Parts may be encoded, and UUIDs come in either case. */
const lastPart = (id: string) => id.toLowerCase().split(/\/|%2f/).at(-1)
