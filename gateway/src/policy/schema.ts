import { readFileSync } from 'node:fs'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'

/** The policy schema: what a policy may speak of. */
export const schema = readFileSync(new URL('./policy.cedarschema', import.meta.url), 'utf8')

/** Under this name Cedar keeps the parsed schema. */
export const schemaName = 'countersign'

const parsed = cedar.preparseSchema(schemaName, schema)
if (parsed.type === 'failure') throw new Error(`policy.cedarschema: ${parsed.errors[0]?.message}`)
