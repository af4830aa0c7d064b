import { cameWithServer, type Routine } from './catalog.ts'

/** Functions that came with the server and are volatile, yet do nothing and tell nothing that isn't for everybody. */
const harmlessVolatile = new Set(
  `clock_timestamp timeofday random random_normal setseed gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle
  current_query lastval pg_is_in_recovery pg_is_wal_replay_paused pg_current_wal_lsn pg_last_wal_replay_lsn
  pg_last_wal_receive_lsn pg_last_xact_replay_timestamp pg_relation_size pg_table_size pg_indexes_size
  pg_total_relation_size pg_database_size pg_tablespace_size pg_partition_tree pg_partition_ancestors pg_blocking_pids
  pg_collation_actual_version pg_database_collation_actual_version pg_xact_status txid_status pg_xact_commit_timestamp
  pg_notification_queue_usage pg_jit_available pg_stat_clear_snapshot pg_current_wal_insert_lsn
  pg_current_wal_flush_lsn`.split(/\s+/),
)

/** Functions that are declared stable or immutable and yet read tables, files or other sessions, or take commands as text. */
const harmful = [
  /^lo_/,
  /^lo(read|write)$/,
  /^pg_(read|ls|stat)_(file|binary_file|dir|.*dir)/,
  /^dblink/,
  /_to_xml(schema|_and_xmlschema)?$/,
  /^(query|table|schema|database|cursor)_to_/,
  /^ts_(stat|rewrite)$/,
  /^pg_stat_get_(activity|backend_activity|progress_info|wal_receiver|wal_senders|subscription)$/,
  /^pg_(show_all_file_settings|hba_file_rules|ident_file_mappings|current_logfile|prepared_xact|mcv_list_items)$/,
  /^pg_(get_sequence_data|sequence_last_value|logical_.*|replication_.*|export_snapshot|terminate_backend|cancel_backend)$/,
  /^binary_upgrade_/,
  /^(nextval|setval|currval|set_config)$/,
]

/**
 * Whether calling it can't do or tell anything that policy would want to know of: it came with the server, and either
 * doesn't depend on who calls (immutable, stable) or is one of the everyday volatile ones.
 */
export function harmless(routine: Routine): boolean {
  if (routine.schema !== 'pg_catalog' || !cameWithServer(routine)) return false
  if (harmful.some((pattern) => pattern.test(routine.name))) return false
  return routine.volatility !== 'v' || harmlessVolatile.has(routine.name)
}

/** Whether a routine may be what a call with so many arguments means. */
export function takes(routine: Routine, count: number): boolean {
  const least = routine.arguments - routine.defaults - (routine.variadic ? 1 : 0)
  return count >= least && (routine.variadic || count <= routine.arguments)
}
