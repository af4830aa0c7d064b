import type { AlterTableType, TransactionStmtKind } from 'libpg-query'
import type { SessionChange } from './effects.ts'
import { alterTable } from './nodes.ts'
import type { Node } from './scan.ts'
import { changesRole, meaningfulSetting } from './settings.ts'
import { statements } from './statements.ts'

const transactions: Readonly<Record<TransactionStmtKind, SessionChange['transaction']>> = {
  TRANS_STMT_BEGIN: 'begin',
  TRANS_STMT_START: 'begin',
  TRANS_STMT_COMMIT: 'commit',
  TRANS_STMT_ROLLBACK: 'rollback',
  TRANS_STMT_SAVEPOINT: 'savepoint',
  TRANS_STMT_RELEASE: 'release',
  TRANS_STMT_ROLLBACK_TO: 'rollback-to',
  TRANS_STMT_PREPARE: 'prepare',
  // They end a transaction that isn't this session's.
  TRANS_STMT_COMMIT_PREPARED: undefined,
  TRANS_STMT_ROLLBACK_PREPARED: undefined,
}

/** The word for a whole statement. */
export function kindOf(statement: Node | undefined): string {
  const [type, node] = only(statement)
  switch (type) {
    case 'SelectStmt':
      return node.intoClause ? 'create' : 'select'
    case 'TransactionStmt':
      return (
        transactions[node.kind as TransactionStmtKind] ?? String(node.kind).replace('TRANS_STMT_', '').toLowerCase()
      ).replaceAll('_', '-')
    case 'VariableSetStmt':
      return String(node.kind).startsWith('VAR_RESET') ? 'reset' : 'set'
    case 'GrantStmt':
    case 'GrantRoleStmt':
      return node.is_grant ? 'grant' : 'revoke'
    case 'FetchStmt':
      return node.ismove ? 'move' : 'fetch'
    case 'VacuumStmt':
      return node.is_vacuumcmd ? 'vacuum' : 'analyze'
    default:
      return statements[type]?.kind ?? 'unknown'
  }
}

/** Whether rows come back, as far as the statement itself tells. */
export function returnsRows(statement: Node | undefined): boolean {
  const [type, node] = only(statement)
  if (type === 'SelectStmt') return node.intoClause === undefined
  if (type === 'FetchStmt') return !node.ismove
  if (/^(Insert|Update|Delete|Merge)Stmt$/.test(type)) return node.returningClause !== undefined
  return /^(VariableShow|Explain|Execute|Call)Stmt$/.test(type)
}

/** What a statement changes of its session, beyond what was found while looking through it. */
export function sessionChange(statement: Node | undefined, text: string, found: SessionChange): SessionChange {
  const [type, node] = only(statement)
  const name = (field: string) => String(node[field] ?? '')
  switch (type) {
    case 'TransactionStmt': {
      const transaction = transactions[name('kind') as TransactionStmtKind]
      if (name('kind') === 'TRANS_STMT_COMMIT_PREPARED') return { ...found, changesCatalog: true }
      return transaction ? { ...found, transaction } : found
    }
    case 'VariableSetStmt': {
      const setting = name('name').toLowerCase()
      const meaningful = meaningfulSetting(setting)
      return {
        ...found,
        ...(meaningful ? { sets: [...(found.sets ?? []), meaningful] } : {}),
        ...(setting === 'search_path' ? { setsSearchPath: true } : {}),
        ...(changesRole(setting) ? { setsRole: true } : {}),
        ...(node.kind === 'VAR_RESET_ALL' ? { resetsAll: true, setsSearchPath: true } : {}),
      }
    }
    case 'DiscardStmt': {
      const target = name('target').replace('DISCARD_', '').toLowerCase() as 'all' | 'plans' | 'temp' | 'sequences'
      if (target === 'all') {
        return {
          ...found,
          discards: 'all',
          resetsAll: true,
          setsSearchPath: true,
          setsRole: true,
          changesCatalog: true,
        }
      }
      return { ...found, discards: target, ...(target === 'temp' ? { changesCatalog: true } : {}) }
    }
    case 'PrepareStmt':
      return { ...found, prepares: { name: name('name'), text } }
    case 'ExecuteStmt':
      return { ...found, executes: name('name') }
    case 'DeallocateStmt':
      return node.isall ? { ...found, deallocates: '', deallocatesAll: true } : { ...found, deallocates: name('name') }
    case 'DeclareCursorStmt':
      return { ...found, declares: { cursor: name('portalname'), text } }
    case 'FetchStmt':
      return { ...found, fetches: name('portalname') }
    case 'ClosePortalStmt':
      return node.portalname === undefined
        ? { ...found, closes: '', closesAll: true }
        : { ...found, closes: name('portalname') }
    case 'CopyStmt':
      if (node.filename !== undefined || node.is_program) return found
      return { ...found, copy: node.is_from ? 'in' : 'out' }
    case 'DoStmt':
    case 'CallStmt':
      return { ...found, changesCatalog: true, setsSearchPath: true }
    case 'SelectStmt':
      return node.intoClause ? { ...found, changesCatalog: true } : found
    case 'ExplainStmt':
      return JSON.stringify(node.query).includes('"CreateTableAsStmt"') ? { ...found, changesCatalog: true } : found
    default:
      return /^(ddl|admin|createAs|refresh)$/.test(statements[type]?.does ?? '')
        ? { ...found, changesCatalog: true }
        : found
  }
}

const redefining =
  /^(Rename|AlterObjectSchema|CreateFunction|AlterFunction|Define|CreateCast|AlterOperator|CreateOpClass|AlterExtension|CreateExtension|ImportForeignSchema|AlterTableMoveAll)Stmt$/

/**
 * Whether a statement gives names, functions or operators that the catalog knows another meaning. What is merely
 * created or dropped is followed otherwise.
 */
export function redefines(statement: Node | undefined): boolean {
  const [type, node] = only(statement)
  if (type === 'AlterTableStmt') {
    const commands = (node.cmds ?? []) as { AlterTableCmd?: Node }[]
    return commands.some(({ AlterTableCmd: command }) => {
      const does = alterTable[command?.subtype as AlterTableType]
      return does !== 'itself' && does !== 'names another'
    })
  }
  return redefining.test(type)
}

/** Whether it looks at or runs what names, functions and operators mean. */
export function runsQueries(statement: Node | undefined): boolean {
  const does = statements[only(statement)[0]]?.does
  return does === undefined || !/^(connect|ddl|admin|write|set|discard|do|part)$/.test(does)
}

function only(statement: Node | undefined): [string, Node] {
  const [type, node] = Object.entries((statement ?? {}) as Record<string, Node>)[0] ?? ['', {}]
  return [type, node]
}
