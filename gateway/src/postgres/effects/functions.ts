import { cameWithServer, type Routine } from './catalog.ts'
import { harmlessNames } from './harmless.ts'

/** Those of them that are volatile, and yet do nothing. Any other that a server says is volatile is not what was looked at. */
const harmlessVolatile = new Set(
  `clock_timestamp timeofday random random_normal setseed gen_random_uuid uuidv4 uuidv7 array_sample array_shuffle
  current_query lastval pg_is_in_recovery pg_is_wal_replay_paused pg_current_wal_lsn pg_last_wal_replay_lsn
  pg_last_wal_receive_lsn pg_last_xact_replay_timestamp pg_relation_size pg_table_size pg_indexes_size
  pg_total_relation_size pg_database_size pg_tablespace_size pg_partition_tree pg_partition_ancestors pg_blocking_pids
  pg_collation_actual_version pg_database_collation_actual_version pg_xact_status txid_status pg_xact_commit_timestamp
  pg_notification_queue_usage pg_jit_available pg_stat_clear_snapshot pg_current_wal_insert_lsn
  pg_current_wal_flush_lsn`.split(/\s+/),
)

/**
 * Whether calling it can't do or tell anything that policy would want to know of: it came with the server, it was looked
 * at, and it either doesn't depend on who calls (immutable, stable) or is one of the everyday volatile ones.
 */
export function harmless(routine: Routine): boolean {
  if (routine.schema !== 'pg_catalog' || !cameWithServer(routine) || !harmlessNames.has(routine.name)) return false
  return routine.volatility !== 'v' || harmlessVolatile.has(routine.name)
}

/** Whether a routine may be what a call with so many arguments means. */
export function takes(routine: Routine, count: number): boolean {
  const least = routine.arguments - routine.defaults - (routine.variadic ? 1 : 0)
  return count >= least && (routine.variadic || count <= routine.arguments)
}
