import type { Classification } from './classes.ts'
import type { CatalogRelation } from './columns.ts'
import { DERIVED, type MaskingStyle } from './style.ts'

/** A column of a result, as RowDescription tells of it. */
export interface ResultColumn {
  name: string
  /** OID of the relation that it comes from, 0 where it is computed. */
  tableOid: number
  /** Number of the column there, 0 for a whole row. */
  attnum: number
  typeOid: number
  format: 0 | 1
}

/** What an effect of the statement says that masking needs: a gate Effect is one. */
export interface TouchingEffect {
  action: string
  resource: { type: string; attrs?: Readonly<Record<string, string>> }
  command: Readonly<Record<string, unknown>>
  /** OID of the relation or routine; absent where it isn't in the catalog yet. */
  object?: string
}

/** What one statement touches of classified data, for one agent at one moment. */
export interface Touch {
  readonly classification: Classification
  /** What it was when the server settled what a cursor or portal reads: a view may have been made of other columns then. */
  readonly earlier?: readonly Classification[]
  /** Classes that the statement may read, revealed or not. Empty: nothing of this statement needs masking. */
  readonly classes: readonly string[]
  /** Those of them that this agent may not see. */
  readonly hidden: readonly string[]
  readonly reveal: (dataClass: string) => boolean
  /** Relations that it writes to: what comes back of them may be what it has just written there. */
  readonly written: ReadonlySet<string>
  /** The catalog may say something else by the time it runs: no origin is to be relied on. */
  readonly uncertain: boolean
  /** What flows into the tables that it writes. */
  readonly flow: WriteFlow
  /** It calls or does what keeps or tells a value past its result: set_config, pg_notify, COPY to a file … */
  readonly carries: boolean
  /** EXPLAIN without ANALYZE: it runs nothing, and tells of the plan only. */
  readonly explains: boolean
}

/**
 * `none`: what is written is the client's own, or stays in its column; `reads`: it may come from columns that are read;
 * `code`: the statement brings code that may do anything.
 */
export type WriteFlow = 'none' | 'reads' | 'code'

export interface TouchOptions {
  /** Whether policy permits data:reveal of the class. Not asked for `derived`. Asked at most once a class. */
  reveal: (dataClass: string) => boolean
  /** What is known of the catalog may be older than something the session did. */
  uncertain?: boolean
  /** As writeFlow() says; `reads` where absent. */
  flow?: WriteFlow
}

/**
 * What a statement touches, out of its effects. Every relation counts that is read or written, by whatever way (views,
 * partitions, rules: effects name them all). A routine that isn't known to be harmless may read anything, and so may
 * what isn't understood or isn't in the catalog yet.
 */
export function touchOf(
  effects: readonly TouchingEffect[],
  classification: Classification,
  { reveal, uncertain = false, flow = 'reads' }: TouchOptions,
): Touch {
  const asked = new Map<string, boolean>()
  const ask = (dataClass: string) => {
    const known = asked.get(dataClass) ?? reveal(dataClass)
    asked.set(dataClass, known)
    return known
  }
  const classes = new Set<string>()
  const written = new Set<string>()
  let doubtful = uncertain
  let writes = false
  let carries = false
  // Beside what carries something, something to be carried.
  let reads = uncertain
  for (const { action, resource, command, object } of effects) {
    if (action === 'sql:admin' && command.kind === 'copy') carries = true
    if (Array.isArray(command.functions) && command.functions.some((name) => carrying.test(String(name))))
      carries = true
    if (action === 'sql:write' || action === 'sql:ddl') {
      writes = true
      if (object !== undefined) written.add(object)
    }
    if (resource.type === 'Table') {
      // What is just being created holds nothing yet; what is read and isn't in the catalog may be anything.
      if (object === undefined && (action === 'sql:ddl' || action === 'sql:write')) continue
      const found = object === undefined ? undefined : classification.ofRelation(object)
      for (const one of found ?? classification.all) classes.add(one)
      if (found?.length !== 0) reads = true
      if (object === undefined) doubtful = true
    } else if (action !== 'sql:connect') {
      for (const one of classification.all) classes.add(one)
      const { schema, name = '' } = resource.attrs ?? {}
      const ofServer = resource.type === 'Routine' && schema === 'pg_catalog'
      if (ofServer && !confined.test(name)) carries = true
      else if (resource.type === 'Routine' && !carrying.test(name)) reads = true
      if (action === 'sql:unknown') doubtful = true
    }
  }
  if (doubtful) for (const one of classification.all) classes.add(one)
  classes.delete(DERIVED)
  if (flow === 'code') for (const one of classification.all) classes.add(one)
  // What a view calls may be run as it is planned, and what that answers stands in the plan.
  const called = ({ object }: TouchingEffect) =>
    object !== undefined && classification.catalog.relation(object)?.calls === true
  const explains =
    effects.length > 0 &&
    !effects.some(called) &&
    effects.every(
      ({ action, command }) => command.kind === 'explain' && (action === 'sql:read' || action === 'sql:connect'),
    )
  return {
    classification,
    classes: [...classes].sort(),
    hidden: [...classes].filter((dataClass) => !ask(dataClass)).sort(),
    reveal: ask,
    written,
    uncertain: doubtful,
    flow: writes || flow === 'code' ? flow : 'none',
    carries: carries && (reads || doubtful),
    explains,
  }
}

/**
 * Functions of the server that do no more than answer, though what they answer may be of any table. The others that
 * aren't harmless may keep what they are given: as a name of a slot, as statistics, as the seed of random().
 */
const confined =
  /^(nextval|currval|lastval|random|random_normal|pg_sleep|pg_sleep_for|pg_sleep_until|(query|table|schema|database|cursor)_to_xml.*|ts_stat|ts_rewrite|pg_read_file|pg_read_binary_file|pg_ls_.*|pg_stat_file|pg_stat_get_.*|pg_get_.*|pg_current_.*|txid_.*|pg_snapshot_.*|pg_.*_size|current_setting|pg_show_all_settings|pg_mcv_list_items|pg_prepared_statement|pg_cursor|pg_lock_status|pg_backend_pid|gen_random_uuid|uuidv[47]|clock_timestamp|timeofday|statement_timestamp)$/

/** Functions of the server that put what they are given where a later statement, or another session, can read it. */
const carrying =
  /^(set_config|setval|setseed|pg_notify|lo_.*|lowrite|pg_logical_emit_message|pg_file_write|dblink.*|pg_(try_)?advisory_.*)$/

/**
 * What to do with a column of a result. `reveal`: the agent gets the value, a recording gets it masked with class and
 * style, and says that it was revealed.
 */
export type Treatment =
  | { does: 'pass' }
  | { does: 'mask'; dataClass: string; style: MaskingStyle }
  | { does: 'reveal'; dataClass: string; style: MaskingStyle }

export interface ResultPlan {
  /** Whether the agent gets anything masked. False: its rows go on as they came. */
  masks: boolean
  /** Whether a recording has anything to mask. */
  records: 'plain' | 'masked'
  /** Parallel to the columns of the result. */
  columns: readonly Treatment[]
}

/** The style of a class: one for all, or by class. */
export type StyleOf = (dataClass: string) => MaskingStyle

/**
 * The sound rule: where a statement touches classified data, a column of its result passes only if it comes from a known
 * column without a class. All else is masked, under the class of its origin or as `derived`. Names decide nothing.
 * Where there are patterns, a column of a table that the catalog doesn't know yet is masked whatever is touched.
 * @param columns of the RowDescription; formats as Bind asked for them
 */
export function planResult(columns: readonly ResultColumn[], touch: Touch, styleOf: StyleOf): ResultPlan {
  const innocent = touch.classes.length === 0
  if (touch.explains || (innocent && !columns.some((column) => isUnforeseen(column, touch)))) {
    return { masks: false, records: 'plain', columns: columns.map(() => pass) }
  }
  const treatments = columns.map((column) =>
    innocent && !isUnforeseen(column, touch) ? pass : treat(column, touch, styleOf),
  )
  return {
    masks: treatments.some(({ does }) => does === 'mask'),
    records: treatments.every(({ does }) => does === 'pass') ? 'plain' : 'masked',
    columns: treatments,
  }
}

const pass: Treatment = { does: 'pass' }

/** Whether a column is newer than what is known of the catalog, and a pattern may fit it. */
function isUnforeseen({ tableOid, attnum }: ResultColumn, { classification }: Touch): boolean {
  return classification.grows && tableOid !== 0 && classification.ofColumn(String(tableOid), attnum) === undefined
}

function treat(column: ResultColumn, touch: Touch, styleOf: StyleOf): Treatment {
  const { tableOid, attnum } = column
  const oid = String(tableOid)
  const known =
    tableOid === 0 || touch.uncertain || (touch.flow !== 'none' && touch.written.has(oid))
      ? undefined
      : classesOf(oid, attnum, touch)
  if (known?.length === 0) return pass
  // Where it comes from isn't known: it may be of all that the statement touches; what it is itself, of any.
  const any = isUnforeseen(column, touch) ? touch.classification.all : touch.classes
  const own = (known ?? any).filter((dataClass) => dataClass !== DERIVED)
  const hidden = own.filter((dataClass) => !touch.reveal(dataClass))
  const plain = known?.length === 1 && attnum !== 0 && known[0] !== DERIVED
  const dataClass = plain ? known[0]! : DERIVED
  const style = styleOf(dataClass)
  const applied = dataClass === DERIVED && style !== 'null' ? 'redact' : style
  return { does: hidden.length > 0 ? 'mask' : 'reveal', dataClass, style: applied }
}

/** Classes of a column, now or when it was settled that it is read; undefined where it isn't known. */
function classesOf(oid: string, attnum: number, { classification, earlier }: Touch): readonly string[] | undefined {
  let classes = classification.ofColumn(oid, attnum)
  for (const before of earlier ?? []) {
    const others = before.ofColumn(oid, attnum)
    if (!classes || !others) return undefined
    if (others.length > 0) classes = [...new Set([...classes, ...others])].sort()
  }
  return classes
}

/**
 * The columns of `COPY table [(names)] TO`, in the order of its output, for planResult(): CopyOutResponse tells of their
 * number and format only. For `COPY (query) TO`, have the server describe the query and take its RowDescription.
 * @param oid of the table
 * @param names as the statement lists them; undefined for all
 * @returns undefined where the table or a name isn't known: then everything is to be masked
 */
export function copiedColumns(
  classification: Classification,
  oid: string,
  names: readonly string[] | undefined,
  format: 0 | 1,
): ResultColumn[] | undefined {
  const relation: CatalogRelation | undefined = classification.catalog.relation(oid)
  if (!relation) return undefined
  const all = [...relation.columns.values()].sort((a, b) => a.attnum - b.attnum)
  const chosen = names
    ? names.map((name) => all.find((column) => column.name === name))
    : all.filter((column) => !column.generated)
  const columns: ResultColumn[] = []
  for (const column of chosen) {
    if (!column) return undefined
    columns.push({ name: column.name, tableOid: Number(oid), attnum: column.attnum, typeOid: column.typeOid, format })
  }
  return columns
}

/** More than a table can have (MaxHeapAttributeNumber). */
const NO_ATTNUM = 1601

/**
 * A plan for a result of which nothing but the number of its columns is known.
 * @param table OID of the table that they are of, where that is known
 */
export function planBlindly(count: number, touch: Touch, styleOf: StyleOf, table?: string): ResultPlan {
  const origin = table === undefined ? { tableOid: 0, attnum: 0 } : { tableOid: Number(table), attnum: NO_ATTNUM }
  const unknown = { name: '', ...origin, typeOid: 0, format: 0 } as const
  return planResult(new Array<ResultColumn>(count).fill(unknown), touch, styleOf)
}

/**
 * Why a statement is refused because of what it would do with classified data: a sentence for the client, whose SQLSTATE
 * is 42501; undefined where it isn't refused.
 */
export function laundering({ hidden, flow, carries }: Touch): string | undefined {
  if (hidden.length === 0 || (flow === 'none' && !carries)) return undefined
  const classes = hidden.join(', ')
  if (flow === 'code') return `code of your own could read data of class ${classes}; send the statements one by one`
  return `this could put data of class ${classes} where it is not masked any more; write values of your own, or ask for data:reveal`
}
