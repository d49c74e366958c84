import { runFolders } from '../support/suite.js'

/* The longest ones have a process each: see package.json. */

await runFolders(['providers'], { except: ['credentials.test.js', 'faults.test.js'] })
