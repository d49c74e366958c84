import { runFolders } from '../support/suite.js'

await runFolders(['docs', 'testing'], { except: ['typescript.test.js'] })
