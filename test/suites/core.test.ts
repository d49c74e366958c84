import { otherFolders, runFolders } from '../support/suite.js'

await runFolders(otherFolders())
