import type { Refusal } from './effects.ts'
import { literal, type Node } from './scan.ts'

/**
 * Settings that nobody may set, because then the server would read another text than the one that was decided on
 * (contract.md section 4, "Refused for everyone"), and those that the gateway reads once, at the start.
 * @param value undefined where it isn't a constant, `{ reset }` where it goes back to a value that isn't seen here
 */
export function refusedSetting(name: string, value: string | undefined | { reset: true }): Refusal | undefined {
  // GUC names are compared without regard to ASCII case (guc_name_compare), also quoted ones.
  const setting = name.toLowerCase()
  if (setting === 'countersign' || setting.startsWith('countersign.')) {
    return refusal(`${setting} is read by the gateway when the session starts`, 'Reconnect with PGOPTIONS="-c …".')
  }
  if (setting === 'standard_conforming_strings') {
    // The server takes any unambiguous beginning of on, true, yes, and 1 (parse_bool).
    if (typeof value === 'string' && /^(on|t(r(ue?)?)?|y(es?)?|1)$/i.test(value)) return undefined
    return refusal('standard_conforming_strings stays on through the gateway', "Write escapes as E'…'.")
  }
  if (setting === 'client_encoding') {
    // As clean_encoding_name does: letters and digits only, lower case.
    const encoding = typeof value === 'string' ? value.replace(/[^A-Za-z0-9]/g, '').toLowerCase() : undefined
    if (encoding === 'utf8' || encoding === 'unicode' || encoding === 'sqlascii') return undefined
    return refusal('client_encoding through the gateway is UTF8', "Use SET client_encoding TO 'UTF8'.")
  }
  return undefined
}

/** The refusal of a VariableSetStmt, wherever it stands: SET, ALTER ROLE … SET, CREATE FUNCTION … SET. */
export function refusedSet(node: Node): Refusal | undefined {
  const name = typeof node.name === 'string' ? node.name : ''
  switch (node.kind) {
    case 'VAR_SET_VALUE': {
      const args = (node.args ?? []) as Node[]
      const value = args.length === 1 ? literal(args[0]) : undefined
      return refusedSetting(name, value ?? undefined)
    }
    case 'VAR_SET_DEFAULT':
    case 'VAR_RESET':
      return refusedSetting(name, { reset: true })
    case 'VAR_SET_CURRENT':
      return name.toLowerCase().startsWith('countersign') ? refusedSetting(name, undefined) : undefined
    default:
      return undefined
  }
}

/** Names of settings that change who the session is: setting them is `sql:admin`. */
export const changesRole = (name: string): boolean => /^(role|session_authorization)$/i.test(name)

/**
 * Settings by which the same text means something else: how values in it are read, whose rows it sees, which code runs
 * along with it. Settings of one's own (`app.tenant`) belong to them, since policies and functions read them.
 */
export const meaningful: readonly string[] = [
  ...['array_nulls', 'datestyle', 'default_table_access_method', 'default_tablespace', 'default_text_search_config'],
  ...['intervalstyle', 'lc_monetary', 'lc_numeric', 'lc_time', 'restrict_nonsystem_relation_kind', 'row_security'],
  ...['session_replication_role', 'temp_tablespaces', 'timezone', 'transform_null_equals', 'xmlbinary', 'xmloption'],
]

/** The setting's name in lower case where later texts may mean something else by it; else undefined. */
export function meaningfulSetting(name: string): string | undefined {
  const setting = name.toLowerCase() === 'time zone' ? 'timezone' : name.toLowerCase()
  if (setting.startsWith('countersign.')) return undefined
  return setting.includes('.') || meaningful.includes(setting) ? setting : undefined
}

/** Settings refused where a function body or a code block mentions them: it can't be told what it does with them. */
export function refusedInCode(code: string): Refusal | undefined {
  const mentioned = /standard_conforming_strings|client_encoding|countersign\./i.exec(code)
  if (!mentioned) return undefined
  return refusal(`code that mentions ${mentioned[0].toLowerCase()} is refused`, 'Leave the setting out of the code.')
}

/** What a text can't be set to where it can't be seen: set_config() with a computed name. */
export const hiddenSetting: Refusal = refusal(
  'set_config() needs the setting as a constant through the gateway',
  "Write the setting's name as a literal.",
)

function refusal(message: string, hint: string): Refusal {
  return { sqlstate: '42501', message, hint }
}
