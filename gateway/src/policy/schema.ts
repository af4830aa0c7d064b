import { readFileSync } from 'node:fs'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'

/** The policy schema: what a policy may speak of. */
export const schema = readFileSync(new URL('./policy.cedarschema', import.meta.url), 'utf8')

/** The actions that it declares, and groups of them, as Cedar's JSON has them. */
export function declaredActions(): cedar.NamespaceDefinition<string>['actions'] {
  declared ??= readActions()
  return declared
}

let declared: ReturnType<typeof declaredActions> | undefined

function readActions() {
  const read = cedar.schemaToJson(schema)
  if (read.type === 'failure') throw new Error(`policy.cedarschema: ${read.errors[0]?.message}`)
  return read.json['']!.actions
}

/** Under this name Cedar keeps the parsed schema. */
export const schemaName = 'countersign'

const parsed = cedar.preparseSchema(schemaName, schema)
if (parsed.type === 'failure') throw new Error(`policy.cedarschema: ${parsed.errors[0]?.message}`)
