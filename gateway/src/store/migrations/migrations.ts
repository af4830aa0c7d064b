import type { Migration } from 'kysely/migration'
import * as ground from './0001_ground.ts'
import * as recordings from './0002_recordings.ts'
import * as classifiedColumns from './0003_classified_columns.ts'
import * as ledger from './0004_ledger.ts'
import * as annotations from './0005_annotations.ts'
import * as retention from './0006_retention.ts'
import * as search from './0007_search.ts'
import * as access from './0008_access.ts'
import * as reviews from './0009_reviews.ts'

/** Every migration in its order. A released one is never changed: what comes after it is a new number. */
export const migrations: Record<string, Migration> = {
  '0001_ground': ground,
  '0002_recordings': recordings,
  '0003_classified_columns': classifiedColumns,
  '0004_ledger': ledger,
  '0005_annotations': annotations,
  '0006_retention': retention,
  '0007_search': search,
  '0008_access': access,
  '0009_reviews': reviews,
}
