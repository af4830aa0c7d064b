/**
 * Every function that came with PostgreSQL 18, can be called, and is sql:call (or more, where calls.ts says so), and why.
 * With harmless.ts these are all: the test compares them with the server.
 */
export const charged: Readonly<Record<string, string>> = {
  'files and what the server was built with': `
    pg_config pg_current_logfile pg_get_loaded_modules pg_hba_file_rules pg_ident_file_mappings
    pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir pg_ls_replslotdir
    pg_ls_summariesdir pg_ls_tmpdir pg_ls_waldir pg_read_binary_file pg_read_file pg_show_all_file_settings
    pg_stat_file`,
  'large objects, which hold data': `
    lo_close lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_lseek lo_lseek64 lo_open lo_put
    lo_tell lo_tell64 lo_truncate lo_truncate64 lo_unlink loread lowrite`,
  'queries and tables as text or by OID, and cursors by name': `
    currtid2 cursor_to_xml cursor_to_xmlschema database_to_xml database_to_xml_and_xmlschema database_to_xmlschema
    query_to_xml query_to_xml_and_xmlschema query_to_xmlschema schema_to_xml schema_to_xml_and_xmlschema
    schema_to_xmlschema table_to_xml table_to_xml_and_xmlschema table_to_xmlschema ts_rewrite ts_stat`,
  'sequences, and settings (these two have rules of their own)': `
    currval nextval pg_get_sequence_data pg_sequence_last_value set_config setval`,
  'other sessions, locks and what they wait for': `
    pg_advisory_lock pg_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_all pg_advisory_unlock_shared
    pg_advisory_xact_lock pg_advisory_xact_lock_shared pg_cancel_backend pg_export_snapshot pg_get_aios
    pg_get_backend_memory_contexts pg_get_wait_events pg_isolation_test_session_is_blocked pg_lock_status
    pg_log_backend_memory_contexts pg_notify pg_prepared_xact pg_safe_snapshot_blocking_pids pg_sleep pg_sleep_for
    pg_sleep_until pg_stat_get_activity pg_stat_get_backend_activity pg_stat_get_backend_activity_start
    pg_stat_get_backend_client_addr pg_stat_get_backend_client_port pg_stat_get_backend_dbid
    pg_stat_get_backend_idset pg_stat_get_backend_io pg_stat_get_backend_pid pg_stat_get_backend_start
    pg_stat_get_backend_subxact pg_stat_get_backend_userid pg_stat_get_backend_wait_event
    pg_stat_get_backend_wait_event_type pg_stat_get_backend_wal pg_stat_get_backend_xact_start
    pg_stat_get_progress_info pg_stat_get_subscription pg_stat_get_wal_receiver pg_stat_get_wal_senders
    pg_terminate_backend pg_try_advisory_lock pg_try_advisory_lock_shared pg_try_advisory_xact_lock
    pg_try_advisory_xact_lock_shared`,
  'values kept as statistics': `
    pg_clear_attribute_stats pg_clear_relation_stats pg_mcv_list_items pg_restore_attribute_stats
    pg_restore_relation_stats`,
  'replication, WAL and backup': `
    binary_upgrade_logical_slot_has_caught_up binary_upgrade_replorigin_advance pg_available_wal_summaries
    pg_backup_start pg_backup_stop pg_copy_logical_replication_slot pg_copy_physical_replication_slot
    pg_create_logical_replication_slot pg_create_physical_replication_slot pg_create_restore_point
    pg_drop_replication_slot pg_get_wal_replay_pause_state pg_get_wal_resource_managers
    pg_get_wal_summarizer_state pg_log_standby_snapshot pg_logical_emit_message pg_logical_slot_get_binary_changes
    pg_logical_slot_get_changes pg_logical_slot_peek_binary_changes pg_logical_slot_peek_changes pg_promote
    pg_replication_origin_advance pg_replication_origin_create pg_replication_origin_drop
    pg_replication_origin_oid pg_replication_origin_progress pg_replication_origin_session_is_setup
    pg_replication_origin_session_progress pg_replication_origin_session_reset pg_replication_origin_session_setup
    pg_replication_origin_xact_reset pg_replication_origin_xact_setup pg_replication_slot_advance
    pg_show_replication_origin_status pg_stat_reset_replication_slot pg_switch_wal pg_sync_replication_slots
    pg_wal_replay_pause pg_wal_replay_resume pg_wal_summary_contents`,
  'counters that can be reset or are told of the whole server': `
    pg_stat_force_next_flush pg_stat_get_io pg_stat_get_recovery_prefetch pg_stat_get_xact_blocks_fetched
    pg_stat_get_xact_blocks_hit pg_stat_get_xact_function_calls pg_stat_get_xact_function_self_time
    pg_stat_get_xact_function_total_time pg_stat_get_xact_numscans pg_stat_get_xact_tuples_deleted
    pg_stat_get_xact_tuples_fetched pg_stat_get_xact_tuples_hot_updated pg_stat_get_xact_tuples_inserted
    pg_stat_get_xact_tuples_newpage_updated pg_stat_get_xact_tuples_returned pg_stat_get_xact_tuples_updated
    pg_stat_have_stats pg_stat_reset pg_stat_reset_backend_stats pg_stat_reset_shared
    pg_stat_reset_single_function_counters pg_stat_reset_single_table_counters pg_stat_reset_slru
    pg_stat_reset_subscription_stats`,
  'upgrades, upkeep and the inside of the server': `
    amvalidate binary_upgrade_add_sub_rel_state binary_upgrade_create_empty_extension
    binary_upgrade_set_missing_value binary_upgrade_set_next_array_pg_type_oid
    binary_upgrade_set_next_heap_pg_class_oid binary_upgrade_set_next_heap_relfilenode
    binary_upgrade_set_next_index_pg_class_oid binary_upgrade_set_next_index_relfilenode
    binary_upgrade_set_next_multirange_array_pg_type_oid binary_upgrade_set_next_multirange_pg_type_oid
    binary_upgrade_set_next_pg_authid_oid binary_upgrade_set_next_pg_enum_oid
    binary_upgrade_set_next_pg_tablespace_oid binary_upgrade_set_next_pg_type_oid
    binary_upgrade_set_next_toast_pg_class_oid binary_upgrade_set_next_toast_relfilenode
    binary_upgrade_set_record_init_privs brin_desummarize_range brin_summarize_new_values brin_summarize_range
    fmgr_c_validator fmgr_internal_validator fmgr_sql_validator gin_clean_pending_list pg_control_checkpoint
    pg_control_init pg_control_recovery pg_control_system pg_extension_config_dump pg_get_multixact_members
    pg_get_shmem_allocations pg_get_shmem_allocations_numa pg_import_system_collations pg_last_committed_xact
    pg_nextoid pg_reload_conf pg_rotate_logfile pg_stop_making_pinned_objects pg_xact_commit_timestamp_origin
    plpgsql_validator postgresql_fdw_validator`,
}

/** Relations of pg_catalog and information_schema that hold data, secrets, or what other sessions do. */
export const dataInCatalogs: readonly string[] = `
  _pg_user_mappings pg_aios pg_authid pg_backend_memory_contexts pg_config pg_file_settings pg_hba_file_rules
  pg_ident_file_mappings pg_largeobject pg_prepared_xacts pg_replication_origin_status pg_sequences pg_shadow
  pg_shmem_allocations pg_shmem_allocations_numa pg_stat_activity pg_stat_gssapi pg_stat_progress_analyze
  pg_stat_progress_basebackup pg_stat_progress_cluster pg_stat_progress_copy pg_stat_progress_create_index
  pg_stat_progress_vacuum pg_stat_replication pg_stat_ssl pg_stat_subscription pg_stat_wal_receiver pg_statistic
  pg_statistic_ext pg_statistic_ext_data pg_stats pg_stats_ext pg_stats_ext_exprs pg_subscription pg_user_mapping
  pg_user_mappings user_mapping_options
  `
  .trim()
  .split(/\s+/)
