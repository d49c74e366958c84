import { runFolders } from '../support/suite.js'

/* Those that start many programs have a process each: see package.json. */

await runFolders(['gateway'], { except: ['app.test.js', 'npm-start.test.js', 'shutdown.test.js'] })
