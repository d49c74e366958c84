import * as named from './index.js'

export * from './index.js'
export { default } from './index.js'

/** What `require('fastify-batch-cancel')` returns: the plugin, as other plugins do, with every export on it. */
const commonJS = Object.assign(named.default, named)

export { commonJS as 'module.exports' }
