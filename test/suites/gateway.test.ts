import { runFolders } from '../support/suite.js'

await runFolders(['gateway'], { except: ['npm-start.test.js'] })
