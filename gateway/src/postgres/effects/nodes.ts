import type { AlterTableType, ObjectType } from 'libpg-query'

/**
 * What is made of each node of a parse tree that isn't a statement (those are in statements.ts). A node that isn't here,
 * or that the grammar never makes, is `sql:unknown`; a test fails when the parser can print one that isn't.
 */
export const nodes: Readonly<Record<string, 'rule' | 'through' | 'leaf' | 'never'>> = {
  // Has a rule of its own in walk.ts.
  ...all(
    'rule',
    `A_Expr A_Indirection CaseExpr ColumnDef ColumnRef Constraint FuncCall JoinExpr RangeTableSample RangeVar SortBy
    SubLink TableLikeClause TypeName`,
  ),
  // Does nothing by itself: what is in it is looked through.
  ...all(
    'through',
    `A_ArrayExpr A_Indices ATAlterConstraint AccessPriv Alias AlterTableCmd BoolExpr BooleanTest CTECycleClause
    CTESearchClause CaseWhen CoalesceExpr CollateClause CommonTableExpr CreateOpClassItem CurrentOfExpr DefElem
    FunctionParameter GroupingFunc GroupingSet IndexElem InferClause IntoClause JsonAggConstructor JsonArgument
    JsonArrayAgg JsonArrayConstructor JsonArrayQueryConstructor JsonBehavior JsonFormat JsonFuncExpr JsonIsPredicate
    JsonKeyValue JsonObjectAgg JsonObjectConstructor JsonOutput JsonParseExpr JsonReturning JsonScalarExpr
    JsonSerializeExpr JsonTable JsonTableColumn JsonTablePathSpec JsonValueExpr List LockingClause MergeSupportFunc
    MergeWhenClause MinMaxExpr MultiAssignRef NamedArgExpr NullTest ObjectWithArgs OnConflictClause PartitionBoundSpec
    PartitionCmd PartitionElem PartitionRangeDatum PartitionSpec PublicationObjSpec PublicationTable RangeFunction
    RangeSubselect RangeTableFunc RangeTableFuncCol ResTarget ReturningClause ReturningOption RoleSpec RowExpr
    SQLValueFunction SetToDefault StatsElem TriggerTransition TypeCast VacuumRelation WindowDef WithClause XmlExpr
    XmlSerialize`,
  ),
  // A value, or a mark: there is nothing in it.
  ...all('leaf', 'A_Const A_Star BitString Boolean Float IntList Integer OidList ParamRef String'),
  // Made by the server of what it has parsed, or of PL/pgSQL.
  ...all(
    'never',
    `Aggref AlternativeSubPlan ArrayCoerceExpr ArrayExpr CallContext CaseTestExpr CoerceToDomain CoerceToDomainValue
    CoerceViaIO CollateExpr ConvertRowtypeExpr DistinctExpr FieldSelect FieldStore FromExpr FuncExpr InferenceElem
    InlineCodeBlock JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan JsonTableSiblingJoin MergeAction
    NextValueExpr NullIfExpr OnConflictExpr OpExpr Param Query RTEPermissionInfo RangeTblEntry RangeTblFunction
    RangeTblRef RelabelType ReturningExpr RowCompareExpr RowMarkClause ScalarArrayOpExpr SortGroupClause SubPlan
    SubscriptingRef TableFunc TableSampleClause TargetEntry Var WindowClause WindowFunc WindowFuncRunCondition
    WithCheckOption`,
  ),
}

/** What a kind of object, named in DROP, COMMENT, ALTER, SECURITY LABEL or GRANT, is to policy. */
export const objects: Readonly<Record<ObjectType, 'relation' | 'of a relation' | 'schema' | 'of the database'>> = {
  ...all('relation', `OBJECT_FOREIGN_TABLE OBJECT_INDEX OBJECT_MATVIEW OBJECT_SEQUENCE OBJECT_TABLE OBJECT_VIEW`),
  ...all(
    'of a relation',
    `OBJECT_COLUMN OBJECT_DEFAULT OBJECT_POLICY OBJECT_PUBLICATION_REL OBJECT_RULE OBJECT_TABCONSTRAINT OBJECT_TRIGGER`,
  ),
  OBJECT_SCHEMA: 'schema',
  ...all(
    'of the database',
    `OBJECT_ACCESS_METHOD OBJECT_AGGREGATE OBJECT_AMOP OBJECT_AMPROC OBJECT_ATTRIBUTE OBJECT_CAST OBJECT_COLLATION
    OBJECT_CONVERSION OBJECT_DATABASE OBJECT_DEFACL OBJECT_DOMAIN OBJECT_DOMCONSTRAINT OBJECT_EVENT_TRIGGER
    OBJECT_EXTENSION OBJECT_FDW OBJECT_FOREIGN_SERVER OBJECT_FUNCTION OBJECT_LANGUAGE OBJECT_LARGEOBJECT OBJECT_OPCLASS
    OBJECT_OPERATOR OBJECT_OPFAMILY OBJECT_PARAMETER_ACL OBJECT_PROCEDURE OBJECT_PUBLICATION
    OBJECT_PUBLICATION_NAMESPACE OBJECT_ROLE OBJECT_ROUTINE OBJECT_SUBSCRIPTION OBJECT_STATISTIC_EXT OBJECT_TABLESPACE
    OBJECT_TRANSFORM OBJECT_TSCONFIGURATION OBJECT_TSDICTIONARY OBJECT_TSPARSER OBJECT_TSTEMPLATE OBJECT_TYPE
    OBJECT_USER_MAPPING`,
  ),
}

/**
 * What each part of ALTER TABLE (VIEW, INDEX, SEQUENCE, TYPE …) touches. All are sql:ddl on the relation that is altered;
 * a second relation, where one is named, is sql:ddl too. Where rows of one become rows of another, or columns are
 * followed by another type, a later statement of the same text is sql:unknown.
 */
export const alterTable: Readonly<Record<AlterTableType, 'itself' | 'names another' | 'joins another' | 'never'>> = {
  ...all(
    'itself',
    `AT_AddColumn AT_AddIdentity AT_AddIndexConstraint AT_AlterColumnGenericOptions AT_AlterColumnType
    AT_AlterConstraint AT_ChangeOwner AT_ClusterOn AT_ColumnDefault AT_DisableRowSecurity AT_DisableRule AT_DisableTrig
    AT_DisableTrigAll AT_DisableTrigUser AT_DropCluster AT_DropColumn AT_DropConstraint AT_DropExpression AT_DropIdentity
    AT_DropNotNull AT_DropOf AT_DropOids AT_EnableAlwaysRule AT_EnableAlwaysTrig AT_EnableReplicaRule
    AT_EnableReplicaTrig AT_EnableRowSecurity AT_EnableRule AT_EnableTrig AT_EnableTrigAll AT_EnableTrigUser
    AT_ForceRowSecurity AT_GenericOptions AT_NoForceRowSecurity AT_ReplaceRelOptions AT_ReplicaIdentity AT_ResetOptions
    AT_ResetRelOptions AT_SetAccessMethod AT_SetCompression AT_SetExpression AT_SetIdentity AT_SetLogged AT_SetNotNull
    AT_SetOptions AT_SetRelOptions AT_SetStatistics AT_SetStorage AT_SetTableSpace AT_SetUnLogged AT_ValidateConstraint`,
  ),
  // A foreign key; the parent that is left.
  ...all('names another', 'AT_AddConstraint AT_DetachPartition AT_DetachPartitionFinalize AT_DropInherit'),
  ...all('joins another', 'AT_AddInherit AT_AddOf AT_AttachPartition'),
  ...all(
    'never',
    `AT_AddColumnToView AT_AddIndex AT_CookedColumnDefault AT_ReAddComment AT_ReAddConstraint
    AT_ReAddDomainConstraint AT_ReAddIndex AT_ReAddStatistics`,
  ),
}

type Words<S extends string> = S extends `${infer A} ${infer B}` | `${infer A}\n${infer B}` ? Words<A> | Words<B> : S

/** The same for every word of a list. */
function all<Meaning extends string, const List extends string>(meaning: Meaning, list: List) {
  return Object.fromEntries(list.split(/\s+/).map((word) => [word, meaning])) as Record<
    Exclude<Words<List>, ''>,
    Meaning
  >
}
