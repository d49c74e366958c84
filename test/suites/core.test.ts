import { otherFolders, runFolders } from '../support/suite.js'

/* The longest one has a process of its own: see package.json. */

await runFolders(otherFolders(), { except: ['leaks.test.js'] })
