import * as named from './index.js'

export * from './index.js'
export { default } from './index.js'

/** What `require('fastify-batch-cancel/sandbox')` returns: the plugin, with every export on it. */
const commonJS = Object.assign(named.default, named)

export { commonJS as 'module.exports' }
