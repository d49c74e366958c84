import { runFolders } from '../support/suite.js'

await runFolders(['gateway'])
