/**
 * Stands in for the system browser while the sample world signs its console in: follows the authorization URL and
 * chooses a person. `node demo/sign-in.ts [--as PERSON] URL`. A program that opens a browser finds it by $BROWSER.
 */
import { parseArgs } from 'node:util'
import { completeLogin } from './complete-login.ts'

const { values, positionals } = parseArgs({
  options: { as: { type: 'string', default: 'ada' } },
  allowPositionals: true,
})
await completeLogin(positionals[0]!, values.as)
