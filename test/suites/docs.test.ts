import { runFolders } from '../support/suite.js'

/* The compiler has a process of its own: see package.json. */

await runFolders(['docs', 'examples', 'testing'], { except: ['typescript.test.js'] })
