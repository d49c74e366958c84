import { runFolders } from '../support/suite.js'

/* Those that start many programs have a process each: see package.json. */

await runFolders(['examples'], { except: ['durable-queue.test.js', 'replicas.test.js'] })
