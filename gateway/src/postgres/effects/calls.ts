import { cameWithServer, type Relation, type Routine } from './catalog.ts'
import { harmless, takes } from './functions.ts'
import { parseQualifiedName, quoteIdent } from './quote.ts'
import { rangeOf, resolve } from './relations.ts'
import {
  emitOnConnection,
  emitOnRoutine,
  emitOnTable,
  emitUnknown,
  literal,
  type Node,
  type Place,
  type Scan,
  strings,
} from './scan.ts'
import { changesRole, hiddenSetting, meaningfulSetting, refusedSetting } from './settings.ts'

/** A function named with arguments, in an expression or in CALL. Its arguments are for the caller to visit. */
export function call(scan: Scan, node: Node, place: Place, as?: 'procedure'): void {
  const names = strings(node.funcname)
  const parts = names === undefined ? undefined : rangeOf(names)
  if (!parts) {
    emitUnknown(scan, 'a function', place.kind)
    return
  }
  const args = (node.args ?? []) as Node[]
  const candidates = routines(scan, parts.relname, parts.schemaname)
  // With WITHIN GROUP the sorted columns count as arguments, with VARIADIC one array stands for any number, and CALL is
  // given something for OUT parameters too.
  const countable = as === undefined && !node.agg_within_group && !node.func_variadic
  const possible = countable ? candidates.filter((routine) => takes(routine, args.length)) : candidates
  scan.functions.add(parts.relname)
  if (possible.length > 0) {
    for (const routine of possible) invoke(scan, routine, args, place)
  } else if (args.length === 1 && isType(scan, parts.relname, parts.schemaname)) {
    cast(scan, names!, place)
  } else {
    emitUnknown(scan, `function ${names!.join('.')} with ${args.length} arguments`, place.kind)
  }
}

/** A routine that something runs: an effect unless it is known to be harmless. */
export function invoke(scan: Scan, routine: Routine, args: Node[], place: Place): void {
  if (routine.schema !== 'pg_catalog') scan.functions.add(`${quoteIdent(routine.schema)}.${quoteIdent(routine.name)}`)
  if (harmless(routine)) return
  const part = { kind: place.kind, bounded: true }
  if (routine.schema === 'pg_catalog' && cameWithServer(routine)) {
    if (routine.name === 'set_config') {
      setConfig(scan, args, place)
      return
    }
    if (/^(nextval|setval|currval)$/.test(routine.name)) {
      const sequence = sequenceOf(scan, args[0])
      if (!sequence) {
        emitUnknown(scan, `the sequence that ${routine.name} is given`, place.kind)
        return
      }
      const action = routine.name === 'currval' ? 'sql:read' : 'sql:call'
      for (const relation of sequence) emitOnTable(scan, action, relation, part)
      return
    }
  }
  // What isn't known to be harmless may set the search path or create things, what came with the server only by SQL in text.
  if (!cameWithServer(routine) || /^(query|cursor)_to_|^ts_/.test(routine.name)) {
    scan.session.setsSearchPath = true
    scan.session.changesCatalog = true
  }
  emitOnRoutine(scan, routine, part)
}

/**
 * The other way to call a function: `(x).f`, or `t.f` for a row t, means f(x) where there is no such column (ParseFuncOrColumn).
 * @param value whether what stands before the dot may be any value, rather than a row for sure
 */
export function attribute(scan: Scan, name: string, value: () => boolean, place: Place): void {
  for (const routine of routines(scan, name, undefined)) {
    if (!takes(routine, 1) || harmless(routine)) continue
    const row =
      routine.firstRow === '' || routine.firstRow === '*' ? undefined : scan.catalog.relation(routine.firstRow)
    // A column of that name is preferred to the function.
    if (row?.columns.has(name)) continue
    if (routine.firstRow === '' && !value()) continue
    scan.functions.add(name)
    invoke(scan, routine, [], place)
  }
}

/** An operator by its name, perhaps qualified; those that came with the server are harmless. */
export function operator(scan: Scan, node: unknown, place: Place): void {
  const names = strings(node)
  const name = names?.at(-1)
  if (!names || name === undefined) return
  const schema = names.at(-2)
  if (schema === 'pg_catalog') return
  const visible = scan.catalog.operators(name).filter((found) => inReach(scan, found.schema, schema))
  if (visible.length === 0 && schema !== undefined) emitUnknown(scan, `operator ${names.join('.')}`, place.kind)
  for (const { routine } of visible) {
    // The operators of extensions, such as citext's =, are everyday; one made by hand may do anything.
    if (routine.packaged && routine.volatility !== 'v') continue
    invoke(scan, routine, [], place)
  }
}

/** A cast to a type: calls what CREATE CAST put behind it. */
export function cast(scan: Scan, names: string[], place: Place): void {
  for (const routine of scan.catalog.casts(names.at(-1)!)) {
    if (routine.packaged && routine.volatility !== 'v') continue
    invoke(scan, routine, [], place)
  }
}

/** A sampling method of TABLESAMPLE, which is a function by that name. */
export function sampling(scan: Scan, node: unknown, place: Place): void {
  const names = strings(node)
  const parts = names && rangeOf(names)
  if (!parts) {
    emitUnknown(scan, 'a sampling method', place.kind)
    return
  }
  const found = routines(scan, parts.relname, parts.schemaname)
  if (found.length === 0) {
    emitUnknown(scan, `sampling method ${names.join('.')}`, place.kind)
    return
  }
  for (const routine of found) {
    const usual = routine.schema === 'pg_catalog' && /^(system|bernoulli)$/.test(routine.name)
    if (!usual) invoke(scan, routine, [], place)
  }
}

function routines(scan: Scan, name: string, schema: string | undefined): Routine[] {
  return scan.catalog.routines(name).filter((routine) => inReach(scan, routine.schema, schema))
}

/** Whether a name without a schema reaches into this one. The path counts as a whole: overloads compete across it. */
function inReach(scan: Scan, schema: string, asked: string | undefined): boolean {
  if (asked !== undefined) return schema === asked || (asked === 'pg_temp' && schema.startsWith('pg_temp_'))
  return scan.path === null || scan.path.includes(schema)
}

function isType(scan: Scan, name: string, schema: string | undefined): boolean {
  return scan.catalog.types(name).some((found) => inReach(scan, found, schema))
}

/**
 * How pg_dump sets restrict_nonsystem_relation_kind where the server may not know it (set_restrict_relation_kind in
 * pg_dump.c). Whatever `name` were to be there, these values are neither an encoding nor a boolean.
 */
const pgDumpSets = ['view, foreign-table', 'view'].map(
  (value) =>
    `SELECT set_config(name, '${value}', false) FROM pg_settings WHERE name = 'restrict_nonsystem_relation_kind'`,
)
let pgDumpTrees: string[] | undefined

/** Whether the statement is that one, and nothing else. */
function setsWhatPgDumpSets(scan: Scan): boolean {
  const tree = (statement: unknown) =>
    JSON.stringify(statement, (key, value) => (key === 'location' ? undefined : value))
  pgDumpTrees ??= pgDumpSets.map((text) => tree(scan.parse(text)?.[0]))
  return scan.statements.length === 1 && pgDumpTrees.includes(tree(scan.statements[0]))
}

function setConfig(scan: Scan, args: Node[], place: Place): void {
  const plain = args.map((arg) => {
    const namedArg = arg.NamedArgExpr as Node | undefined
    return namedArg === undefined ? arg : namedArg
  })
  const byName = (name: string, position: number) => {
    const found = plain.find((arg) => arg.name === name && 'argnumber' in arg)
    return literal(found === undefined ? args[position] : found.arg)
  }
  const setting = byName('setting_name', 0)
  const value = byName('new_value', 1)
  if (setting === undefined || setting === null) {
    if (setsWhatPgDumpSets(scan)) {
      // Which one, the server alone knows.
      scan.session.setsSearchPath = true
      return
    }
    scan.refused ??= hiddenSetting
    emitUnknown(scan, 'the setting that set_config is given', place.kind)
    return
  }
  scan.refused ??= refusedSetting(setting, value ?? undefined)
  const part = { kind: 'set', bounded: true }
  if (setting.toLowerCase() === 'search_path') scan.session.setsSearchPath = true
  const meaningful = meaningfulSetting(setting)
  if (meaningful) scan.session.sets = [...(scan.session.sets ?? []), meaningful]
  if (changesRole(setting)) {
    scan.session.setsRole = true
    emitOnConnection(scan, 'sql:admin', part)
    return
  }
  // A computed value is told to the client as it is, past any masking of the columns it was made of.
  if (value === undefined) {
    for (const routine of scan.catalog.routines('set_config')) {
      if (routine.schema === 'pg_catalog') emitOnRoutine(scan, routine, { kind: place.kind, bounded: true })
    }
    return
  }
  emitOnConnection(scan, 'sql:connect', part)
}

/** The sequence that a constant names, as the server's cast to regclass would read it. */
function sequenceOf(scan: Scan, node: unknown): Relation[] | undefined {
  const text = literal(node)
  if (typeof text !== 'string') return undefined
  if (/^\d+$/.test(text)) {
    const relation = scan.catalog.relation(String(Number(text)))
    return relation && [relation]
  }
  const range = rangeOf(parseQualifiedName(text) ?? [])
  if (!range) return undefined
  const { candidates, fresh } = resolve(scan, range)
  if (fresh.length > 0) return undefined
  return candidates.length > 0 ? candidates : undefined
}
