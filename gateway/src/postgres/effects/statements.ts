/**
 * What each statement of PostgreSQL 18's grammar does: one row per statement node, so that a reader can check it against
 * contract.md section 4. A node that isn't here is `sql:unknown`; a test fails when the grammar has one that isn't.
 */
export interface StatementRow {
  /** The word in context.command.kind. */
  kind: string
  does: /** The session's own affairs: sql:connect. */
    | 'connect'
    /** sql:ddl on every relation it names, on the connection where it names none. */
    | 'ddl'
    /** sql:admin on the connection, and on the relations it names. */
    | 'admin'
    /** sql:write on the connection. */
    | 'write'
    /** Only found inside other statements. */
    | 'part'
    /** Has rules of its own in queries.ts … */
    | 'select'
    | 'insert'
    | 'update'
    | 'delete'
    | 'merge'
    /** … or in commands.ts. */
    | 'truncate'
    | 'copy'
    | 'explain'
    | 'prepare'
    | 'execute'
    | 'declare'
    | 'fetch'
    | 'lock'
    | 'set'
    | 'discard'
    | 'do'
    | 'call'
    | 'refresh'
    | 'createAs'
  /** Field that holds the relation that it creates. */
  creates?: string
}

const connect = (kind: string): StatementRow => ({ kind, does: 'connect' })
const ddl = (kind: string, creates?: string): StatementRow => ({ kind, does: 'ddl', ...(creates ? { creates } : {}) })
const admin = (kind: string): StatementRow => ({ kind, does: 'admin' })

export const statements: Readonly<Record<string, StatementRow>> = {
  SelectStmt: { kind: 'select', does: 'select' },
  InsertStmt: { kind: 'insert', does: 'insert' },
  UpdateStmt: { kind: 'update', does: 'update' },
  DeleteStmt: { kind: 'delete', does: 'delete' },
  MergeStmt: { kind: 'merge', does: 'merge' },
  TruncateStmt: { kind: 'truncate', does: 'truncate' },
  CopyStmt: { kind: 'copy', does: 'copy' },
  ExplainStmt: { kind: 'explain', does: 'explain' },
  PrepareStmt: { kind: 'prepare', does: 'prepare' },
  ExecuteStmt: { kind: 'execute', does: 'execute' },
  DeclareCursorStmt: { kind: 'declare', does: 'declare' },
  FetchStmt: { kind: 'fetch', does: 'fetch' },
  LockStmt: { kind: 'lock', does: 'lock' },
  DoStmt: { kind: 'do', does: 'do' },
  CallStmt: { kind: 'call', does: 'call' },

  TransactionStmt: connect('transaction'),
  VariableSetStmt: { kind: 'set', does: 'set' },
  VariableShowStmt: connect('show'),
  ConstraintsSetStmt: connect('set'),
  DeallocateStmt: connect('deallocate'),
  ClosePortalStmt: connect('close'),
  DiscardStmt: { kind: 'discard', does: 'discard' },
  ListenStmt: connect('listen'),
  UnlistenStmt: connect('unlisten'),
  NotifyStmt: { kind: 'notify', does: 'write' },

  CreateStmt: ddl('create', 'relation'),
  CreateForeignTableStmt: ddl('create', 'base'),
  CreateTableAsStmt: { kind: 'create', does: 'createAs' },
  ViewStmt: ddl('create', 'view'),
  CreateSeqStmt: ddl('create', 'sequence'),
  IndexStmt: ddl('create'),
  CreateSchemaStmt: ddl('create'),
  CreateFunctionStmt: ddl('create'),
  CreateTrigStmt: ddl('create'),
  CreateEventTrigStmt: ddl('create'),
  CreatePolicyStmt: ddl('create'),
  CreateStatsStmt: ddl('create'),
  CreatePublicationStmt: ddl('create'),
  RuleStmt: ddl('create'),
  CompositeTypeStmt: ddl('create'),
  CreateEnumStmt: ddl('create'),
  CreateRangeStmt: ddl('create'),
  CreateDomainStmt: ddl('create'),
  DefineStmt: ddl('create'),
  CreateCastStmt: ddl('create'),
  CreateTransformStmt: ddl('create'),
  CreateConversionStmt: ddl('create'),
  CreateOpClassStmt: ddl('create'),
  CreateOpFamilyStmt: ddl('create'),
  CreateAmStmt: ddl('create'),
  CreatePLangStmt: ddl('create'),
  CreateExtensionStmt: ddl('create'),
  CreateFdwStmt: ddl('create'),
  CreateForeignServerStmt: ddl('create'),
  CreateUserMappingStmt: ddl('create'),
  CreateTableSpaceStmt: ddl('create'),
  CreatedbStmt: ddl('create'),
  ImportForeignSchemaStmt: ddl('import'),

  AlterTableStmt: ddl('alter'),
  AlterTableMoveAllStmt: ddl('alter'),
  AlterSeqStmt: ddl('alter'),
  AlterFunctionStmt: ddl('alter'),
  AlterDomainStmt: ddl('alter'),
  AlterEnumStmt: ddl('alter'),
  AlterTypeStmt: ddl('alter'),
  AlterCollationStmt: ddl('alter'),
  AlterDatabaseStmt: ddl('alter'),
  AlterDatabaseRefreshCollStmt: ddl('alter'),
  AlterEventTrigStmt: ddl('alter'),
  AlterExtensionStmt: ddl('alter'),
  AlterExtensionContentsStmt: ddl('alter'),
  AlterFdwStmt: ddl('alter'),
  AlterForeignServerStmt: ddl('alter'),
  AlterUserMappingStmt: ddl('alter'),
  AlterObjectDependsStmt: ddl('alter'),
  AlterObjectSchemaStmt: ddl('alter'),
  AlterOperatorStmt: ddl('alter'),
  AlterOpFamilyStmt: ddl('alter'),
  AlterOwnerStmt: ddl('alter'),
  AlterPolicyStmt: ddl('alter'),
  AlterPublicationStmt: ddl('alter'),
  AlterStatsStmt: ddl('alter'),
  AlterTableSpaceOptionsStmt: ddl('alter'),
  AlterTSConfigurationStmt: ddl('alter'),
  AlterTSDictionaryStmt: ddl('alter'),
  RenameStmt: ddl('alter'),

  DropStmt: ddl('drop'),
  DropTableSpaceStmt: ddl('drop'),
  DropdbStmt: ddl('drop'),
  DropUserMappingStmt: ddl('drop'),
  CommentStmt: ddl('comment'),
  SecLabelStmt: ddl('label'),

  VacuumStmt: ddl('vacuum'),
  ClusterStmt: ddl('cluster'),
  ReindexStmt: ddl('reindex'),
  RefreshMatViewStmt: { kind: 'refresh', does: 'refresh' },

  GrantStmt: admin('grant'),
  GrantRoleStmt: admin('grant'),
  AlterDefaultPrivilegesStmt: admin('grant'),
  CreateRoleStmt: admin('create'),
  AlterRoleStmt: admin('alter'),
  AlterRoleSetStmt: admin('alter'),
  AlterDatabaseSetStmt: admin('alter'),
  DropRoleStmt: admin('drop'),
  DropOwnedStmt: admin('drop'),
  ReassignOwnedStmt: admin('alter'),
  AlterSystemStmt: admin('alter'),
  CheckPointStmt: admin('checkpoint'),
  LoadStmt: admin('load'),
  CreateSubscriptionStmt: admin('create'),
  AlterSubscriptionStmt: admin('alter'),
  DropSubscriptionStmt: admin('drop'),

  ReturnStmt: { kind: 'return', does: 'part' },
  ReplicaIdentityStmt: { kind: 'alter', does: 'part' },
}

/** Statement nodes of PostgreSQL's source that its grammar never gives to a client's text. */
export const neverParsed: readonly string[] = ['RawStmt', 'SetOperationStmt', 'PLAssignStmt']
